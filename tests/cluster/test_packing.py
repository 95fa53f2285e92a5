"""Runs that share a job on a real Slurm: side by side on a whole node, and short ones one after the other."""

from __future__ import annotations

import itertools
import json

import pytest

from support.slurm.ending_early import wait_until
from support.slurm.user import User, attempts, rows_on_disk

pytestmark = pytest.mark.slow

TRAIN = """
import json, os, pathlib, sys, time, wandb

meeting, together, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3].partition("=")[2])
run = wandb.init()
seen = {"n": n, "start": time.time(), "job": os.environ["SLURM_JOB_ID"], "environment": dict(os.environ)}
for step in range(10):
    run.log({"loss": n + step / 10})
# Each waits for the others: they can only come if they run at the same time.
place = pathlib.Path(meeting)
place.mkdir(exist_ok=True)
(place / str(n)).touch()
until = time.time() + 60
while len(list(place.iterdir())) < together and time.time() < until:
    time.sleep(0.05)
seen |= {"met": len(list(place.iterdir())), "end": time.time()}
# The second of two ends when the first has its receipt.
mates = pathlib.Path(os.environ["RUNFERRY_RUN_FOLDER"]).parent
while meeting == "in-turn" and len(list(place.iterdir())) == 2 and time.time() < until:
    seen["receipts"] = len(list(mates.glob("*/*receipt.json")))
    if seen["receipts"]:
        break
    time.sleep(0.2)
with open(os.environ["RUNFERRY_RUN_FOLDER"] + "/seen.json", "w") as file:
    json.dump(seen, file)
if n == 2 and not os.path.exists("mended"):
    sys.exit(3)
run.finish()
"""


@pytest.fixture
def user(tmp_path, cluster, server) -> User:
    return User(tmp_path / "scratch", cluster, TRAIN, **server.environment)


def _experiment(user: User, meeting: str, together: int, count: int, **resources) -> dict:
    sweep = {
        "method": "grid",
        "parameters": {"n": {"values": list(range(count))}},
        "command": [user.python, "train.py", meeting, str(together), "${args}"],
    }
    return {"sweep": sweep, "resources": {"memory": "2G", "cores": 2, **resources}}


def test_a_whole_node_is_filled_and_short_runs_follow_one_another(user, cluster, server):
    user.configure(
        {
            "wide": _experiment(user, "all-at-once", 4, 4, gpus=1),
            "long": _experiment(user, "in-turn", 0, 2, time="30m"),
            "shared": _experiment(user, "together", 2, 2, gpus=1) | {"packing": {"share_gpu": 2}},
        }
    )
    failed = user.snakemake("tamia", "--runferry-seconds-before-early-receipts", "1")
    assert failed.returncode != 0
    wide, long = user.seen("wide"), user.seen("long")

    # One job with the whole node, in which each run has a GPU of its own.
    (job,) = {one["job"] for one in wide}
    assert "gres:gpu:h100:4" in cluster.run("scontrol", "show", "job", job)
    devices = [one["environment"]["CUDA_VISIBLE_DEVICES"] for one in wide]
    assert len(set(devices)) == 4
    assert all(device.isdigit() for device in devices)
    assert [one["met"] for one in wide] == [4, 4, 4, 4]
    assert len({one["environment"]["RUNFERRY_RUN"] for one in wide}) == 4

    # Those that share a GPU see the same one, at the same time.
    shared = user.seen("shared")
    assert len({one["job"] for one in shared}) == 1
    (device,) = {one["environment"]["CUDA_VISIBLE_DEVICES"] for one in shared}
    assert device.isdigit()
    assert [one["met"] for one in shared] == [2, 2]
    assert all((run / "receipt.json").exists() for run in user.runs("shared"))

    # The one that failed is named, with its reason, and the others are trained, synced and verified.
    (loser,) = [run for run in user.runs("wide") if not (run / "trained.json").exists()]
    assert json.loads((loser / "seen.json").read_text())["n"] == 2
    assert f"runferry: run {loser.name}: expected it to finish, found: attempt 1 failed, exit code 3" in failed.stderr
    for run in user.runs("wide"):
        n = json.loads((run / "seen.json").read_text())["n"]
        held = server.run("demo", "tests", run.name)
        assert [row["loss"] for row in held["history"]] == rows_on_disk(run, "loss") == [n + i / 10 for i in range(10)]
        assert held["state"] == ("failed" if run == loser else "finished")
        assert (run / "receipt.json").exists() == (run != loser)
        assert [attempt["job"] for attempt in attempts(run)] == [job]

    # The short ones have one job, too, and its time is that of both and a minute between them.
    (job,) = {one["job"] for one in long}
    assert "TimeLimit=01:01:00" in cluster.run("scontrol", "show", "job", job)
    in_turn = sorted(long, key=lambda one: one["start"])
    assert all(first["end"] < second["start"] for first, second in itertools.pairwise(in_turn))
    # The first had its receipt while the second trained; it is that one that counts.
    assert in_turn[1]["receipts"] == 1
    assert "runferry: 1 run of packs that still train: synced and verified\n" in failed.stderr
    for run in user.runs("long"):
        assert (run / "receipt.json").exists()
        assert not (run / "interim-receipt.json").exists()
        assert not [*run.glob("wandb/*/logs"), *run.glob("wandb/*/*.syncstate")]
        assert [row["loss"] for row in server.run("demo", "tests", run.name)["history"]] == rows_on_disk(run, "loss")

    # Called again, only the one that failed is trained, on a whole node by itself.
    (user.folder / "mended").touch()
    done = user.snakemake("tamia")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all((run / "receipt.json").exists() for run in user.runs("wide"))
    assert {run.name: len(attempts(run)) for run in user.runs("wide")} == {
        run.name: 2 if run == loser else 1 for run in user.runs("wide")
    }
    assert user.jobs() == []


# Each run counts for itself what it logs.
COUNT = """
import os, pathlib, sys, time, wandb

n = int(sys.argv[1].partition("=")[2])
run = wandb.init()
logged = (pathlib.Path(os.environ["RUNFERRY_RUN_FOLDER"]) / "logged").open("a")
(pathlib.Path(os.environ["RUNFERRY_RUN_FOLDER"]) / "job").write_text(os.environ["SLURM_JOB_ID"])
for step in range(600):
    run.log({"loss": step})
    print(step, file=logged, flush=True)
    time.sleep(0.5)
"""


@pytest.mark.parametrize("version", ["0.27.2", "0.31.0"])
def test_a_cancelled_pack_stays_cancelled_and_every_row_of_its_runs_arrives(
    tmp_path, cluster, server, wandb_python, version
):
    user = User(tmp_path / "scratch", cluster, COUNT, **server.environment)

    def experiment(count: int, **resources) -> dict:
        sweep = {
            "method": "grid",
            "parameters": {"n": {"values": list(range(count))}},
            "command": [str(wandb_python(version)), "train.py", "${args}"],
        }
        return {"sweep": sweep, "attempts": 3, "resources": {"memory": "2G", "cores": 2, **resources}}

    # Four side by side, and two one after the other, of which the second has not begun.
    user.configure({"wide": experiment(4, gpus=1), "long": experiment(2, time="30m")})
    controller = user.start("tamia")
    try:
        wait_until(lambda: len(list(user.folder.glob("results/*/*/logged"))) == 5, "five runs")
        begun = [file.parent for file in user.folder.glob("results/*/*/logged")]
        wait_until(lambda: all(len((run / "logged").read_text().split()) > 10 for run in begun), "ten rows of each")
        for job in {(run / "job").read_text() for run in begun}:
            cluster.run("scancel", job)
        controller.wait(200)
    finally:
        controller.kill()
    for run in begun:
        (attempt,) = attempts(run)
        assert attempt["reason"] == "cancelled"
        trained = [int(step) for step in (run / "logged").read_text().split()]
        held = [row["loss"] for row in server.run("demo", "tests", run.name)["history"]]
        # What was being logged when it was killed may be there or not.
        assert held in (trained, [*trained, len(trained)])
    assert {file.parent for file in user.folder.glob("results/*/*/logged")} == set(begun)
    assert user.jobs() == []

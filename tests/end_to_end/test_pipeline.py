"""The whole way with real parts: an environment, training offline, the real client, the stand-in's rows."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runferry.trackers.wandb.log.segment import history, read_segment
from runferry_standin import running
from support.projects import ROOT, Project

pytestmark = pytest.mark.slow

PAGE_SCRIPT = """
import wandb

wandb.init(project="wandb-pytorch-test", settings=wandb.Settings(start_method="fork"))

for my_metric in range(10):
    wandb.log({'my_metric': my_metric})
"""

LOGGING = """
import os, signal, sys, wandb
run = wandb.init(config={"n": int(sys.argv[1].split("=")[1])})
for step in range(10):
    run.log({"loss": 1 / (step + 1), "step_squared": step * step})
if "--killed" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
run.finish()
"""


@pytest.fixture
def server():
    with running() as standin:
        yield standin


@pytest.fixture
def connected(project, server) -> Project:
    """A project whose `sync` finds the stand-in; commands are run by the Python that has wandb."""
    project.environment |= server.environment | {"WANDB_ERROR_REPORTING": "false"}
    project.write("train.py", LOGGING)
    return project


def _sweep(count: int, *options: str) -> dict:
    command = [sys.executable, "train.py", "${args}", *options]
    return {"sweep": {"method": "grid", "parameters": {"n": {"values": list(range(count))}}, "command": command}}


def _run_folders(project: Project) -> list[Path]:
    return sorted(file.parent for file in (project.folder / "results").glob("*/*/run.json"))


def _assert_server_holds_what_the_disk_holds(project: Project, server, *, project_name: str = "tests") -> None:
    folders = _run_folders(project)
    assert folders
    for folder in folders:
        rows = [row for segment in sorted(folder.glob("wandb/offline-run-*")) for row in history(segment)]
        held = server.run("demo", project_name, folder.name)
        assert [row["_step"] for row in held["history"]] == [row["_step"] for row in rows]
        for theirs, ours in zip(held["history"], rows, strict=True):
            assert {key: theirs[key] for key in ours} == ours
        receipt = json.loads((folder / "receipt.json").read_text())
        assert receipt["server"]["history_lines"] == receipt["disk"]["history_lines"] == len(rows)


def test_every_row_of_every_run_arrives_and_the_second_time_nothing_is_done(connected, server):
    connected.configure({"a": _sweep(3)})
    done = connected.snakemake()
    assert done.returncode == 0, done.stderr
    assert len(_run_folders(connected)) == 3
    _assert_server_holds_what_the_disk_holds(connected, server)
    for folder in _run_folders(connected):
        assert server.run("demo", "tests", folder.name)["state"] == "finished"
        assert read_segment(next(folder.glob("wandb/offline-run-*"))).exit_code == 0
    page = (connected.folder / "results" / "a" / "report.html").read_text()
    assert "n=2" in page

    server.clear_requests()
    again = connected.snakemake()
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
    assert server.requests()["total"] == 0


@pytest.mark.parametrize(
    ("packing", "runs"), [(False, 3), ({"side_by_side": 2, "one_after_another": 2}, 4)], ids=["a job each", "packed"]
)
def test_one_more_run_is_fewer_than_twelve_files_on_the_shared_filesystem(connected, packing, runs):
    def files() -> int:
        found = [file for file in connected.folder.rglob("*") if not file.is_dir()]
        # Each `wandb sync` leaves a log in the home folder; how many runs share one is a matter of when they end.
        return len({file.lstat().st_ino for file in found if not file.match("home/.cache/wandb/logs/core-debug-*.log")})

    def count_after(number: int) -> int:
        connected.configure({"a": _sweep(number) | {"packing": packing}})
        done = connected.snakemake()
        assert done.returncode == 0, done.stderr
        assert len(_run_folders(connected)) == number
        return files()

    before = count_after(runs)
    # A start has a log of Snakemake's, of its own.
    assert (count_after(2 * runs) - before - 1) / runs < 12


@pytest.mark.timeout(900)
def test_the_demo_is_the_real_thing_in_small(connected, server, wheels):
    connected.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    shutil.copytree(ROOT / "config", connected.folder / "config")
    done = connected.snakemake()
    assert done.returncode == 0, done.stderr
    folders = _run_folders(connected)
    assert len(folders) == 6
    _assert_server_holds_what_the_disk_holds(connected, server, project_name="digits")
    for folder in folders:
        held = server.run("demo", "digits", folder.name)
        last = list(history(next(folder.glob("wandb/offline-run-*"))))[-1]
        assert held["state"] == "finished"
        assert {name: held["summary"][name] for name in ("loss", "accuracy")} == {
            name: last[name] for name in ("loss", "accuracy")
        }
        assert held["summary"]["accuracy"] > 0.9
        assert held["group"] == "digits"
    assert connected.snakemake("--report", "report.html").returncode == 0
    assert "Learning curves" in (connected.folder / "results" / "digits" / "report.html").read_text()
    # Snakemake's report holds ours whole, as base64 in a data URI.
    page = base64.b64encode((connected.folder / "results" / "digits" / "report.html").read_bytes()).decode()
    assert page[:2000] in (connected.folder / "report.html").read_text()


def test_without_its_receipt_a_run_is_verified_and_not_uploaded_again(connected, server):
    connected.configure({"a": _sweep(1)})
    assert connected.snakemake().returncode == 0
    (folder,) = _run_folders(connected)
    (folder / "receipt.json").unlink()
    server.clear_requests()
    assert connected.snakemake().returncode == 0
    assert (folder / "receipt.json").exists()
    # The rows too: what was there before is compared one by one.
    assert server.requests()["counts"].keys() == {"graphql:RunferryRuns", "graphql:RunferryRows"}
    _assert_server_holds_what_the_disk_holds(connected, server)


def test_lost_batches_are_no_receipt(connected, server):
    connected.configure({"a": _sweep(1)})
    assert connected.snakemake("train_all").returncode == 0
    server.faults({"match": "file_stream", "containing": "wandb-history.jsonl", "lose": True})
    (folder,) = _run_folders(connected)
    failed = connected.runferry("sync", "--patience", "1", str(folder))
    assert failed.returncode == 1
    assert "not verified: the server has 0 history lines, the disk 10" in failed.stderr
    assert not (folder / "receipt.json").exists()
    assert not list(folder.glob("wandb/*/*.synced"))
    # One is sent again at once.
    server.faults({"match": "file_stream", "containing": "wandb-history.jsonl", "lose": True, "count": 1})
    assert connected.runferry("sync", "--patience", "1", "--settle", "0.2", str(folder)).returncode == 0
    _assert_server_holds_what_the_disk_holds(connected, server)


def test_a_refused_key_is_said_and_nothing_is_marked(connected, server):
    connected.configure({"a": _sweep(1)})
    assert connected.snakemake("train_all").returncode == 0
    (folder,) = _run_folders(connected)
    wrong = "0" * 40
    connected.environment["WANDB_API_KEY"] = wrong
    failed = connected.runferry("sync", str(folder))
    assert failed.returncode == 1
    assert "refused the key found in WANDB_API_KEY (HTTP 401)" in failed.stderr
    assert wrong not in failed.stdout + failed.stderr
    assert not (folder / "receipt.json").exists()
    assert not list(folder.glob("wandb/*/*.synced"))


def test_a_server_that_begins_to_refuse_during_the_upload_gives_no_receipt(connected, server):
    connected.configure({"a": _sweep(1)})
    assert connected.snakemake("train_all").returncode == 0
    (folder,) = _run_folders(connected)
    server.faults({"match": "file_stream", "status": 401})
    failed = connected.runferry("sync", "--patience", "1", str(folder))
    assert failed.returncode == 1
    assert "not verified" in failed.stderr
    assert not (folder / "receipt.json").exists()
    server.faults()
    assert connected.runferry("sync", str(folder)).returncode == 0
    _assert_server_holds_what_the_disk_holds(connected, server)


def test_the_rows_of_a_killed_training_arrive_and_it_counts_as_failed(connected, server):
    connected.configure({"a": _sweep(1, "--killed")})
    failed = connected.snakemake()
    assert failed.returncode != 0
    (folder,) = _run_folders(connected)
    assert not (folder / "trained.json").exists()
    # onerror has synced it already.
    held = server.run("demo", "tests", folder.name)
    assert [row["step_squared"] for row in held["history"]] == [step * step for step in range(10)]
    assert held["state"] == "failed"
    assert json.loads((folder / "interim-receipt.json").read_text())["server"]["state"] == "failed"
    assert "SIGKILL" in failed.stderr
    assert "SIGKILL" in (connected.folder / "results" / "a" / "report.html").read_text()


def test_a_failed_run_that_was_synced_is_still_to_be_trained(connected, server):
    connected.configure({"a": _sweep(1, "--killed")})
    assert connected.snakemake().returncode != 0
    assert connected.planned() == {"train": 1, "sync": 1, "report": 1, "all": 1}
    # The cause is gone; the command stays what it was, since it is part of what the run is.
    connected.write("train.py", LOGGING.replace('"--killed" in sys.argv', "False"))
    done = connected.snakemake()
    assert done.returncode == 0, done.stderr
    (folder,) = _run_folders(connected)
    held = server.run("demo", "tests", folder.name)
    assert held["state"] == "finished"
    assert [row["step_squared"] for row in held["history"]] == 2 * [step * step for step in range(10)]
    assert not (folder / "interim-receipt.json").exists()


def test_sync_all_carries_what_is_there_and_trains_nothing(connected, server):
    connected.configure({"a": _sweep(2)})
    assert connected.snakemake("sync_all").returncode == 0
    assert not (connected.folder / "results" / "a").exists()
    assert connected.snakemake("train_all").returncode == 0
    for _ in range(2):
        done = connected.snakemake("sync_all")
        assert done.returncode == 0, done.stderr
        _assert_server_holds_what_the_disk_holds(connected, server)


def test_an_argument_reaches_the_script_unchanged(connected, server):
    awkward = [
        "a b",
        "it's",
        'say "x"',
        "a;b",
        "$(touch pwned)",
        "`touch pwned`",
        "two\nlines",
        "é→😀",
        "",
        "*",
        "{x}",
        "\\",
    ]
    connected.write(
        "show.py",
        "import json, os, sys\n"
        "json.dump(sys.argv[1:], open(os.environ['RUNFERRY_RUN_FOLDER'] + '/arguments.json', 'w'))\n",
    )
    sweep = {"method": "grid", "parameters": {"x": {"values": awkward}}}
    sweep["command"] = [sys.executable, "show.py", "${args}", "$HOME; echo {y}"]
    connected.configure({"a": {"sweep": sweep}})
    done = connected.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    seen = {tuple(json.loads((folder / "arguments.json").read_text())) for folder in _run_folders(connected)}
    assert seen == {(f"--x={value}", "$HOME; echo {y}") for value in awkward}
    assert not (connected.folder / "pwned").exists()


def test_the_pages_script_runs_unchanged_with_the_wheelhouses_wandb(connected, server, wheels):
    connected.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    connected.write("requirements.txt", "wandb==0.27.2\n")
    connected.write("wandb-test.py", PAGE_SCRIPT)
    connected.configure(
        {"page": {"command": ["python", "wandb-test.py"]}}, environment={"requirements": "requirements.txt"}
    )
    done = connected.snakemake()
    assert done.returncode == 0, done.stderr
    (folder,) = _run_folders(connected)
    held = server.run("demo", "wandb-pytorch-test", folder.name)
    assert [row["my_metric"] for row in held["history"]] == list(range(10))
    assert held["state"] == "finished"
    assert json.loads((folder / "receipt.json").read_text())["segments"][0]["wandb"] == "0.27.2"
    record = json.loads((connected.folder / "results" / "environments" / "default.json").read_text())
    lock = connected.folder / "results" / "environments" / record["lock"]
    assert any(line.startswith("wandb==0.27.2  # wheelhouse: ") for line in lock.read_text().splitlines())


def test_the_pages_script_fails_with_a_newer_wandb_and_says_how_to_mend_it(connected, server):
    connected.write("wandb-test.py", PAGE_SCRIPT)
    connected.configure({"page": {"command": [sys.executable, "wandb-test.py"]}})
    failed = connected.snakemake()
    assert failed.returncode != 0
    said = [line for line in failed.stderr.splitlines() if line.startswith("runferry: run ")]
    assert len(said) == 1
    assert "start_method" in said[0]
    assert "0.29" in said[0]


def test_ctrl_c_leaves_nothing_broken(connected, server):
    connected.write("train.py", "import time\n" + LOGGING.replace("run.finish()", "time.sleep(60)"))
    connected.configure({"a": _sweep(1)})
    command = [*connected.snakemake_command(), "train_all"]
    process = connected.start(command, subprocess.PIPE, start_new_session=True, text=True)
    attempts = []
    deadline = time.monotonic() + 60
    while not attempts or not list(connected.folder.glob("results/a/*/wandb/offline-run-*/run-*.wandb")):
        assert time.monotonic() < deadline, "training did not start"
        attempts = list(connected.folder.glob("results/a/*/attempts/1.json"))
        time.sleep(0.1)
    # As a terminal does it: to every process of the foreground group.
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    (folder,) = _run_folders(connected)
    assert json.loads(attempts[0].read_text())["outcome"] != "running"
    connected.write("train.py", LOGGING)
    connected.snakemake("--unlock")
    done = connected.snakemake()
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "receipt.json").read_text())["server"]["state"] == "finished"

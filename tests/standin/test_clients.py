"""Real wandb clients of every supported version work against the stand-in, unmodified."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runferry_standin import StandIn
    from support.wandb_clients import Wandb

pytestmark = pytest.mark.timeout(180)

TRAIN = """
import sys, wandb
mode, rows, first = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with wandb.init(project="digits", mode=mode, config={"lr": 0.1, "name": "a b"}, group="g", tags=["t"]) as run:
    for i in range(first, first + rows):
        run.log({"loss": 1 / (i + 1), "i": i})
"""

TRAIN_WITH_FILES = """
import wandb
from pathlib import Path
Path("note.txt").write_text("hello")
Path("weights.bin").write_bytes(b"123" * 100)
with wandb.init(project="digits", mode="online", config={"lr": 0.1}, name="<b>nice & name</b>") as run:
    run.save("note.txt")
    for i in range(20):
        run.log({"loss": 1 / (i + 1), "nan": float("nan")})
    run.log({"table": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])})
    artifact = wandb.Artifact("weights", "model", metadata={"layers": 3})
    artifact.add_file("weights.bin")
    run.log_artifact(artifact, aliases=["best"])
with wandb.init(project="digits", mode="online", id="user1") as run:
    run.alert("look", "at this")
    print(run.use_artifact("weights:best").file())
"""

ASK = """
import json, wandb
api = wandb.Api()
run = api.run("demo/digits/online1")
weights = api.artifact("demo/digits/weights:latest")
note = next(file for file in run.files() if file.name == "note.txt")
missing = ""
try:
    api.run("demo/digits/nothing").state
except wandb.errors.CommError as error:
    missing = str(error)
run.notes = "looked at"
run.update()
print("ANSWERS", json.dumps({
    "viewer": [api.viewer.username, api.default_entity],
    "projects": [project.name for project in api.projects()],
    "state": run.state,
    "config": run.config,
    "summary": {key: run.summary[key] for key in ("loss", "_step")},
    "last_step": run.lastHistoryStep,
    "history": len(run.history(pandas=False)),
    "few": [row["_step"] for row in run.history(samples=3, pandas=False)],
    "scan": [row["_step"] for row in run.scan_history()],
    "scan_keys": [row["loss"] for row in run.scan_history(keys=["loss"])][:2],
    "files": sorted(file.name for file in run.files()),
    "note": note.download(root="downloaded").read(),
    "found": [found.id for found in api.runs("demo/digits", filters={"name": {"$in": ["online1", "x"]}})],
    "count": len(api.runs("demo/digits")),
    "logged": sorted(artifact.name for artifact in run.logged_artifacts()),
    "aliases": sorted(weights.aliases),
    "size": weights.size,
    "metadata": weights.metadata,
    "used_by": [user.id for user in weights.used_by()],
    "logged_by": weights.logged_by().id,
    "content": open(weights.download(root="fetched") + "/weights.bin").read()[:6],
    "types": sorted(kind.name for kind in api.artifact_types("demo/digits")),
    "versions": [version.version for version in api.artifacts("model", "demo/digits/weights")],
    "missing": missing,
    "notes": api.run("demo/digits/online1").notes,
    "state_after_update": api.run("demo/digits/online1").state,
}))
"""


def test_an_online_run_arrives_whole_and_is_finished(wandb: Wandb, server: StandIn) -> None:
    wandb.run(TRAIN, "online", "20", "0", WANDB_RUN_ID="online1")

    run = server.run("demo", "digits", "online1")

    assert run["state"] == "finished"
    assert run["exit_code"] == 0
    assert [row["i"] for row in run["history"]] == list(range(20))
    assert [row["_step"] for row in run["history"]] == list(range(20))
    assert run["config"] == {"lr": 0.1, "name": "a b"}
    assert run["summary"]["i"] == 19
    assert (run["group"], run["tags"]) == ("g", ["t"])
    assert {"requirements.txt", "wandb-metadata.json"} <= {file["name"] for file in run["files"]}


def test_a_run_whose_script_fails_is_failed_with_its_exit_code(newest_wandb: Wandb, server: StandIn) -> None:
    script = TRAIN + "\n    run.finish(exit_code=3)\n"

    newest_wandb.run(script, "online", "2", "0", WANDB_RUN_ID="failed1")

    run = server.run("demo", "digits", "failed1")
    assert (run["state"], run["exit_code"], run["history_line_count"]) == ("failed", 3, 2)


def test_files_media_artifacts_and_the_public_api(wandb: Wandb, server: StandIn) -> None:
    wandb.run(TRAIN_WITH_FILES.replace("with wandb.init(", "with wandb.init(id='online1', ", 1))

    printed = wandb.run(ASK)

    answers = json.loads(printed.partition("ANSWERS ")[2].splitlines()[0])
    assert answers.pop("summary")["_step"] == 20
    assert answers.pop("missing").startswith("Could not find run")
    files = answers.pop("files")
    assert {"note.txt", "wandb-summary.json", "config.yaml"} <= set(files)
    assert sum(name.startswith("media/table/table_") for name in files) == 1
    logged = answers.pop("logged")
    assert logged == ["run-online1-table:v0", "weights:v0"]
    assert answers == {
        "viewer": ["demo", "demo"],
        "projects": ["digits"],
        "state": "finished",
        "config": {"lr": 0.1},
        "last_step": 20,
        "history": 21,
        "few": [0, 10, 20],
        "scan": list(range(21)),
        "scan_keys": [1.0, 0.5],
        "note": "hello",
        "found": ["online1"],
        "count": 2,
        "aliases": ["best", "latest"],
        "size": 300,
        "metadata": {"layers": 3},
        "used_by": ["user1"],
        "logged_by": "online1",
        "content": "123123",
        "types": ["model", "run_table"],
        "versions": ["v0"],
        "notes": "looked at",
        "state_after_update": "finished",
    }
    user = server.run("demo", "digits", "user1")
    assert [artifact["name"] for artifact in user["used_artifacts"]] == ["weights:v0"]
    assert user["alerts"] == [{"title": "look", "text": "at this", "severity": "INFO"}]
    refused = [each for each in server.requests()["requests"] if each["status"] != 200 and each["kind"] != "telemetry"]
    assert refused == []


def test_segments_of_one_run_synced_by_the_newest_client_continue_each_other(
    wandb: Wandb, newest_wandb: Wandb, server: StandIn
) -> None:
    for first in ("0", "20"):
        wandb.run(TRAIN, "offline", "20", first, WANDB_RUN_ID="resumed1", WANDB_RESUME="allow")
    assert server.runs("demo", "digits") == []
    segments = wandb.segments()
    assert len(segments) == 2

    counts: list[int] = []
    for segment in segments:
        # Only since 0.31 does a segment itself say that it resumes.
        newest_wandb.sync(segment, WANDB_RESUME="allow")
        counts.append(server.run("demo", "digits", "resumed1")["history_line_count"])

    run = server.run("demo", "digits", "resumed1")
    assert counts == [20, 40]
    assert [row["i"] for row in run["history"]] == list(range(40))
    assert [row["_step"] for row in run["history"]] == list(range(40))
    assert (run["state"], run["last_step"], run["summary"]["i"]) == ("finished", 39, 39)


def test_a_segment_synced_by_its_own_version_arrives(wandb: Wandb, server: StandIn) -> None:
    wandb.run(TRAIN, "offline", "20", "0", WANDB_RUN_ID="own1")

    wandb.sync(*wandb.segments())

    run = server.run("demo", "digits", "own1")
    assert [row["i"] for row in run["history"]] == list(range(20))
    assert (run["state"], run["summary"]["i"]) == ("finished", 19)


def test_a_run_that_was_synced_twice_has_its_rows_twice(newest_wandb: Wandb, server: StandIn) -> None:
    newest_wandb.run(TRAIN, "offline", "20", "0", WANDB_RUN_ID="twice1")
    (segment,) = newest_wandb.segments()

    newest_wandb.sync(segment)
    newest_wandb.sync(segment, include_synced=True)

    steps = [row["_step"] for row in server.run("demo", "digits", "twice1")["history"]]
    assert steps == [*range(20), *range(20)]


def test_an_online_run_is_resumed_after_its_last_step(wandb: Wandb, server: StandIn) -> None:
    wandb.run(TRAIN, "online", "5", "0", WANDB_RUN_ID="online1")
    resuming = TRAIN.replace(
        "as run:\n", "as run:\n    print('RESUMED', run.resumed, run.starting_step, run.config['lr'])\n"
    )

    printed = wandb.run(resuming, "online", "5", "5", WANDB_RUN_ID="online1", WANDB_RESUME="must")

    run = server.run("demo", "digits", "online1")
    assert "RESUMED True 5 0.1" in printed
    assert [(row["_step"], row["i"]) for row in run["history"]] == [(i, i) for i in range(10)]
    assert run["state"] == "finished"


def test_resuming_what_is_not_there_is_refused_by_the_client(newest_wandb: Wandb, server: StandIn) -> None:
    trying = """
import wandb
try:
    wandb.init(project="digits", mode="online", id="nothing", resume="must")
except wandb.errors.UsageError as error:
    print("REFUSED", error)
"""

    printed = newest_wandb.run(trying)

    assert "REFUSED" in printed
    assert server.runs("demo", "digits") == []


def test_a_wrong_key_is_refused_and_nothing_is_stored(newest_wandb: Wandb, server: StandIn) -> None:
    newest_wandb.run(TRAIN, "offline", "3", "0", WANDB_RUN_ID="secret1")

    printed = newest_wandb.sync(*newest_wandb.segments(), WANDB_API_KEY="0" * 40)

    # The client itself ends with exit code 0, whatever the server said (measured).
    assert "user is not logged in" in printed
    assert server.runs("demo", "digits") == []
    assert {each["status"] for each in server.requests()["requests"] if each["kind"] != "telemetry"} == {401}

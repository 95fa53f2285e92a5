"""`sync: {watch: true}`: live sync starts and ends with the workflow."""

from __future__ import annotations

import json
import sys
import time

import psutil
import pytest

from runferry_standin import running

SCRIPT = """
import os, time, wandb
run = wandb.init()
step = 0
while not os.path.exists("go") and step < 600:
    run.log({"loss": step})
    step += 1
    time.sleep(0.1)
run.finish()
"""


@pytest.fixture
def server():
    with running() as standin:
        yield standin


@pytest.fixture(params=[["a"]])
def training(request, project, server):
    project.environment |= server.environment | {"WANDB_ERROR_REPORTING": "false"}
    project.write("train.py", SCRIPT)
    experiments = {name: {"command": [sys.executable, "train.py"], "resources": {"cores": 1}} for name in request.param}
    project.configure(experiments, sync={"watch": True, "interval": 1})
    command = project.snakemake_command()
    with (project.folder / "snakemake.txt").open("w") as output:
        process = project.start(command, output)
    yield process
    project.write("go", "")
    process.wait(60)


def rows(server) -> list[dict]:
    runs = server.runs("demo", "tests")
    return server.run("demo", "tests", runs[0])["history"] if runs else []


def until(condition, seconds=60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def watchers(folder) -> list[int]:
    """Who looks at this project's results, zombies left out."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        words, place = process.info["cmdline"] or [], process.info["cwd"]
        if "--watch" in words and place == str(folder) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def test_rows_are_on_the_server_while_the_run_trains_and_the_watcher_ends_with_the_workflow(project, server, training):
    until(lambda: len(rows(server)) >= 2)
    assert not list(project.folder.glob("results/*/*/trained.json"))
    run = server.runs("demo", "tests")[0]
    assert server.run("demo", "tests", run)["state"] == "running"
    assert len(watchers(project.folder)) == 1
    project.write("go", "")
    assert training.wait(60) == 0, (project.folder / "snakemake.txt").read_text()
    assert watchers(project.folder) == []
    held = server.run("demo", "tests", run)
    assert held["state"] == "finished"
    assert [row["_step"] for row in held["history"]] == list(range(len(held["history"])))
    assert list(project.folder.glob("results/a/*/receipt.json"))


@pytest.mark.parametrize("training", [["a", "b"]], indirect=True)
def test_a_run_that_was_killed_is_shown_as_crashed_while_the_workflow_goes_on(project, server, training):
    until(lambda: len(server.runs("demo", "tests")) == 2 and list(project.folder.glob("results/a/*/attempts/1.json")))
    # All processes of one run at once, as when a node is lost: nobody writes how the attempt ended.
    (record,) = project.folder.glob("results/a/*/attempts/1.json")
    launcher = psutil.Process(json.loads(record.read_text())["pid"])
    for process in [launcher, *launcher.children(recursive=True)]:
        process.kill()
    run = record.parents[1].name
    until(lambda: server.run("demo", "tests", run)["state"] == "crashed", 20)
    assert training.poll() is None
    project.write("go", "")
    assert training.wait(60) == 1
    assert server.run("demo", "tests", run)["state"] == "failed"
    (other,) = {*server.runs("demo", "tests")} - {run}
    assert server.run("demo", "tests", other)["state"] == "finished"


def test_the_watcher_ends_when_its_snakemake_is_killed(project, training):
    until(lambda: watchers(project.folder))
    children = psutil.Process(training.pid).children(recursive=True)
    training.kill()
    training.wait()
    until(lambda: not watchers(project.folder), 15)
    project.write("go", "")
    psutil.wait_procs(children, timeout=30)


def test_a_dry_run_starts_no_watcher(project):
    project.configure({"a": {"command": ["true"]}}, sync={"watch": True})
    assert project.snakemake("-n").returncode == 0
    assert not (project.folder / "results" / ".sync").exists()
    assert not list(project.folder.glob("logs/**/watch.log"))

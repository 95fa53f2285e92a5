"""Runs that log to Comet, and a stand-in that they are synced to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.sync.outcome import Limits, Outcome
from runferry.system.files import write_json
from support.comet_standin import KEY, CometStandIn, Experiment, comet_running

VERSIONS = ["3.47.1", "newest"]
QUICK = Limits(patience=0.5, deadline=60)
LOG = """
import os, signal, sys, time
import comet_ml
experiment = comet_ml.start()
experiment.log_parameters({"lr": 0.1, "deep": {"layers": 3}})
experiment.log_other("dataset", "digits")
experiment.add_tag("from the script")
with open("model.txt", "w") as file:
    file.write("weights")
experiment.log_asset("model.txt")
for step in range(int(os.environ.get("FIRST", 0)), int(os.environ.get("LAST", 10))):
    experiment.log_metric("loss", 1 / (step + 1), step=step)
    experiment.log_metric("odd", float("nan") if step % 2 else float("inf"), step=step)
print("logged all", flush=True)
"""
TEN = [1 / (step + 1) for step in range(10)]


def die(name: str) -> str:
    """Wait for the last message to leave the process's own queue, and get a signal."""
    return f"time.sleep(0.5)\nos.kill(os.getpid(), signal.{name})\ntime.sleep(60)"


@pytest.fixture
def server() -> Iterator[CometStandIn]:
    with comet_running() as standin:
        yield standin
    assert standin.unknown == []


@pytest.fixture(autouse=True)
def connected(server: CometStandIn, comet_python: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process that syncs finds the stand-in, the newest comet_ml, and nothing of who runs the tests."""
    for name in [name for name in os.environ if name.startswith(("COMET_", "WANDB_", "SLURM_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    beside = comet_python("newest").parent
    for name, value in {**server.environment, "HOME": str(home), "PATH": f"{beside}:{os.environ['PATH']}"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest, comet_python: Callable[[str], Path]) -> Path:
    return comet_python(request.param)


@pytest.fixture
def newest(comet_python: Callable[[str], Path]) -> Path:
    return comet_python("newest")


@pytest.fixture(scope="module")
def written(comet_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One run that ended normally, written once; tests copy it."""
    folder = make_run(tmp_path_factory.mktemp("written"), comet_python("newest"))
    assert launch(folder).returncode == 0
    return folder


@pytest.fixture
def run(written: RunFolder, tmp_path: Path) -> RunFolder:
    results = tmp_path / "results" / "digits"
    results.mkdir(parents=True)
    subprocess.run(["cp", "-a", written.path, results], check=True)
    return RunFolder(results / written.path.name)


def make_run(place: Path, python: Path, code: str = LOG, **changes: Any) -> RunFolder:
    folder = RunFolder(place / "results" / "digits" / "k3j9")
    record = {
        "id": "k3j9",
        "name": "lr=0.1",
        "experiment": "digits",
        "command": [str(python), "-c", code],
        "workdir": str(place),
        "environment": None,
        "tracker": "comet",
        "comet": {"project": "numbers", "workspace": None, "tags": ["a", "b c"], "base_url": None, "group": "digits"},
    }
    write_json(folder.run_file, record | changes)
    return folder


def start(folder: RunFolder, **variables: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COMET_", "SLURM_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "runferry", "launch", str(folder.path)],
        env=environment | {"COMET_API_KEY": KEY} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def launch(folder: RunFolder, **variables: str) -> subprocess.CompletedProcess[str]:
    launcher = start(folder, **variables)
    out, errors = launcher.communicate(timeout=120)
    return subprocess.CompletedProcess(launcher.args, launcher.returncode, out, errors)


def sync_one(folder: RunFolder, limits: Limits = QUICK) -> Outcome:
    (outcome,) = sync([folder], limits)
    return outcome


def assert_all_there(experiment: Experiment, points: list[float] = TEN) -> None:
    assert experiment.values("loss") == points
    assert experiment.steps("loss") == list(range(len(points)))
    assert experiment.parameters["lr"] == 0.1
    assert experiment.others["dataset"] == "digits"
    assert {"digits", "a", "b c", "from the script"} <= experiment.tags
    assert [each["fileSize"] for each in experiment.assets.values() if each["fileName"] == "model.txt"] == [7]
    assert not experiment.running


def runferry(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runferry", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

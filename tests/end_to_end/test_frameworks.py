"""The example projects of three frameworks: each is ended in the middle and goes on from its checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import pytest
import yaml

from runferry.runs.folder import RunFolder
from runferry.trackers.wandb.log.segment import history
from runferry_standin import running
from support.attempt_files import attempts_of
from support.projects import ROOT

if TYPE_CHECKING:
    from support.projects import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server():
    with running() as standin:
        yield standin


@pytest.fixture
def example(project, server, frameworks):
    """Give a function that copies an example here, with one run in its sweep.

    The frameworks are found on the PATH: to pack 1.5 GB of them would take longer than all trainings.
    """

    def copied(name: str, parameters: dict[str, object]) -> Project:
        shutil.copytree(ROOT / "examples" / name, project.folder, dirs_exist_ok=True)
        config = yaml.safe_load((project.folder / "config" / "config.yaml").read_text())
        del config["environment"]
        (experiment,) = config["experiments"].values()
        # Two threads of a network this small spend their time waiting for each other.
        experiment["resources"]["cores"] = 1
        experiment["sweep"]["parameters"] = {key: {"value": value} for key, value in parameters.items()}
        project.write("config/config.yaml", yaml.safe_dump(config))
        project.environment |= server.environment | {
            "WANDB_ERROR_REPORTING": "false",
            "PATH": os.pathsep.join([str(frameworks / "bin"), os.environ["PATH"]]),
        }
        return project

    return copied


def _end_in_the_middle(project: Project, checkpoint: str, number: signal.Signals) -> None:
    """Start the workflow, and end the training once it has saved a checkpoint."""
    snakemake = project.start(project.snakemake_command(), subprocess.PIPE, text=True)
    deadline = time.monotonic() + 250
    try:
        while not list(project.folder.glob(f"results/*/*/checkpoints/{checkpoint}")):
            assert snakemake.poll() is None, snakemake.communicate()[0]
            assert time.monotonic() < deadline, "no checkpoint came"
            time.sleep(0.05)
        _training(snakemake.pid, killed=number == signal.SIGKILL).send_signal(number)
        said, _ = snakemake.communicate(timeout=250)
    except BaseException:
        # A training that nobody waits for would take the machine from the other tests.
        for process in [*psutil.Process(snakemake.pid).children(recursive=True), snakemake]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        raise
    assert snakemake.returncode != 0, said


def _training(snakemake: int, *, killed: bool) -> psutil.Process:
    """Find who is to get the signal: the training itself is killed, its launcher is asked to end it, as by Slurm."""
    words = ("train.py",) if killed else ("launch", "runferry")
    for process in psutil.Process(snakemake).children(recursive=True):
        command = process.cmdline()
        if command and "python" in command[0] and any(part.endswith(words) for part in command[1:3]):
            return process
    message = "the training has ended already"
    raise AssertionError(message)


def _the_run(project: Project) -> RunFolder:
    (file,) = project.folder.glob("results/*/*/run.json")
    return RunFolder(file.parent)


def _held(server, project: Project) -> dict:
    config = yaml.safe_load((project.folder / "config" / "config.yaml").read_text())
    return server.run("demo", config["wandb"]["project"], _the_run(project).path.name)


def _assert_verified(project: Project, server) -> list[dict]:
    """Give the rows that the server holds, which are those of all segments on disk."""
    folder = _the_run(project)
    held = _held(server, project)
    rows = [row for segment in folder.segments() for row in history(segment)]
    assert [row["_step"] for row in held["history"]] == [row["_step"] for row in rows]
    steps = [row["_step"] for row in rows]
    assert steps == sorted(set(steps))
    receipt = json.loads(folder.receipt_file.read_text())
    assert receipt["server"]["history_lines"] == receipt["disk"]["history_lines"] == len(rows)
    assert held["state"] == "finished"
    return held["history"]


EPOCHS = 20


@dataclass(frozen=True)
class Example:
    """What is done to an example, and how its rows say which epoch they are of."""

    checkpoint: str
    """A pattern; the training is ended once there is one."""
    signal: signal.Signals
    outcome: str
    """Of the attempt that got the signal."""
    parameters: dict[str, object]
    evaluated: str
    """A metric that is logged once an epoch, and the key of the epoch in its rows."""
    epoch: str
    first: int = 0


EXAMPLES = {
    "pytorch": Example(
        "last.pt",
        signal.SIGKILL,
        "killed",
        {"learning_rate": 0.003, "epochs": EPOCHS},
        "validation_loss",
        "_step",
    ),
    "lightning": Example(
        "last.ckpt",
        signal.SIGTERM,
        "stopped",
        {"learning_rate": 0.003, "epochs": EPOCHS},
        "validation_loss",
        "epoch",
    ),
    "huggingface": Example(
        "checkpoint-*/trainer_state.json",
        signal.SIGTERM,
        "stopped",
        {"learning_rate": 0.003, "width": 32, "num_train_epochs": EPOCHS},
        "eval/loss",
        "train/epoch",
        first=1,
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_ended_in_the_middle_and_goes_on_from_its_checkpoint(name, example, server):
    given = EXAMPLES[name]
    project = example(name, given.parameters)
    _end_in_the_middle(project, given.checkpoint, given.signal)
    folder = _the_run(project)
    assert not folder.trained_file.exists()
    rows_before = _held(server, project)["history"]
    assert rows_before

    done = project.snakemake()
    assert done.returncode == 0, done.stderr
    rows = _assert_verified(project, server)
    assert rows[: len(rows_before)] == rows_before
    assert [attempt["outcome"] for attempt in attempts_of(folder)] == [given.outcome, "finished"]
    # Each epoch was evaluated once, and the second attempt trained those alone that the first one had not.
    epochs = [row[given.epoch] for row in rows if given.evaluated in row]
    # The Trainer also evaluates where it stops, within an epoch.
    whole = [epoch for epoch in epochs if epoch == int(epoch)]
    assert whole == list(range(given.first, given.first + EPOCHS))

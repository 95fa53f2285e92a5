"""`runferry launch RUN_FOLDER -- COMMAND`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runferry import api
from runferry.cli import main
from runferry.system.messages import STARTED_BY
from support.new_runs import own_folder  # noqa: F401 - a fixture


def _launch(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runferry", "launch", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_after_two_dashes_is_made_a_run_and_launched_once():
    printed = ["sh", "-c", 'echo "$WANDB_PROJECT $WANDB_NAME $WANDB_MODE $0 $1"; exit $1', "--name=its-own", "0"]
    words = ["results/line/a", "--project", "p", "--name", "shown", "--", *printed]
    done = _launch(*words)
    assert done.returncode == 0, done.stderr
    (run,) = api.find_runs()
    assert (run.name, run.state, run.command) == ("shown", "finished", printed)
    assert "\np shown offline --name=its-own 0\n" in run.log.read_text()
    again = _launch(*words)
    assert again.returncode == 0
    assert "results/line/a: trained already; remove trained.json there to train it again" in again.stderr
    assert len(run.attempts) == 1
    assert api.launch(run) == 0
    assert len(run.attempts) == 1


def test_its_exit_code_is_the_commands_and_launched_again_it_is_another_attempt(monkeypatch):
    monkeypatch.delenv(STARTED_BY, raising=False)
    words = ["results/line/a", "--", "sh", "-c", "exit 3"]
    done = [_launch(*words), _launch(words[0])]
    assert [one.returncode for one in done] == [3, 3]
    for one in done:
        assert "runferry: run a: the log is results/line/a/train.log\n" in one.stderr
    monkeypatch.setenv(STARTED_BY, "snakemake")
    assert "the log is" not in _launch(words[0]).stderr
    (run,) = api.find_runs()
    assert run.state == "failed"
    assert [attempt["exit_code"] for attempt in run.attempts] == [3, 3, 3]


def test_options_of_a_new_run_without_a_command_are_refused(capsys):
    assert main.main(["launch", "results/line/a", "--project", "p"]) == 2
    assert "found --project without a command" in capsys.readouterr().err


def test_an_option_for_all_commands_may_come_first():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "runferry",
            "--debug",
            "launch",
            "results/line/a",
            "--",
            "sh",
            "-c",
            "exit 5",
            "--debug",
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 5
    assert api.find_runs()[0].command[-1] == "--debug"


def test_an_online_mode_that_the_cluster_does_not_allow_is_refused():
    wandb = {"project": "p", "mode": "online"}
    with pytest.raises(api.RunferryError, match="online"):
        api.create_runs({"cluster": "trillium", "wandb": wandb, "experiments": {"a": {"command": ["true"]}}})


def test_two_dashes_without_a_command_are_as_without_them(capsys):
    assert main.main(["launch", "results/line/a", "--"]) == 2
    assert "no run.json in it" in capsys.readouterr().err

"""A run that is launched again goes on at its next step, offline, as W&B has it online."""

from __future__ import annotations

import subprocess

import pytest

from runferry.trackers.wandb.log.segment import history
from support.launching import WANDB_VERSIONS, make_run, run_to_end

TRAIN = """
import sys, wandb
run = wandb.init()
print("resumed", run.resumed, "step", run.step)
for number in range(5):
    run.log({"loss": number}, **({"step": int(sys.argv[1]) + number} if len(sys.argv) > 1 else {}))
run.finish()
"""


@pytest.fixture(params=WANDB_VERSIONS)
def python(request, wandb_python) -> str:
    return str(wandb_python(request.param))


def _steps(folder) -> list[list[int]]:
    return [[row["_step"] for row in history(segment)] for segment in folder.segments()]


def test_steps_that_the_script_leaves_to_wandb_go_on(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", TRAIN])
    for _ in range(3):
        assert run_to_end(folder)[0] == 0
    assert _steps(folder) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14]]
    said = [line for line in folder.log_file.read_text().splitlines() if line.startswith("resumed")]
    assert said == ["resumed False step 0", "resumed True step 5", "resumed True step 10"]


def test_a_step_of_the_scripts_own_stays_and_one_that_is_there_is_not_logged_again(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", TRAIN, "0"])
    assert run_to_end(folder)[0] == 0
    make_run(folder.path, [python, "-c", TRAIN, "3"])
    assert run_to_end(folder)[0] == 0
    make_run(folder.path, [python, "-c", TRAIN, "20"])
    assert run_to_end(folder)[0] == 0
    assert _steps(folder) == [[0, 1, 2, 3, 4], [5, 6, 7], [20, 21, 22, 23, 24]]


def test_the_numbers_of_the_fields_are_those_of_each_version(python):
    code = """
from wandb.proto import wandb_internal_pb2 as internal, wandb_server_pb2 as server
fields = [(server.ServerResponse, "result_communicate"), (internal.Result, "run_result"),
          (internal.RunUpdateResult, "run"), (internal.RunRecord, "run_id"),
          (internal.RunRecord, "starting_step"), (internal.RunRecord, "resumed"),
          (internal.Result, "response")]
print([message.DESCRIPTOR.fields_by_name[name].number for message, name in fields])
step = internal.Response.DESCRIPTOR.fields_by_name.get("history_step_response")
print(step and (step.number, step.message_type.fields_by_name["step"].number))
"""
    shown = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[0] == "[2, 17, 1, 1, 14, 18, 100]"
    # 0.22 counts in the client.
    assert shown[1] in {"(75, 1)", "None"}

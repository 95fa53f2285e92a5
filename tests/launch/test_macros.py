"""A command's macros come out of the launcher as out of the real `wandb agent`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runferry.config.sweep import macros
from runferry.launch.macros import as_yaml
from support.launching import make_run, printed, run_to_end

if TYPE_CHECKING:
    from pathlib import Path

# Writes down what it was started with: its arguments, what is in files that they name, and what wandb.config will have.
SHOW = """
import json, os, sys, yaml
arguments = sys.argv[1:]
files = [json.load(open(one)) for one in arguments if one.endswith(".json")]
with open(os.environ["WANDB_SWEEP_PARAM_PATH"]) as file:
    config = {name: item["value"] for name, item in yaml.safe_load(file).items() if name != "wandb_version"}
shown = {"arguments": ["FILE" if one.endswith(".json") else one for one in arguments], "files": files, "config": config}
with open(os.environ["SHOW_IN"], "a") as out:
    print(json.dumps(shown), file=out)
"""
# The agent itself, without its server: what it does with a command that the server has sent.
AGENT = """
import json, sys
from wandb.wandb_agent import Agent
asked = json.load(sys.stdin)
for number, command in enumerate(asked["commands"]):
    agent = Agent.__new__(Agent)
    agent._sweep_command, agent._function, agent._in_jupyter, agent._forward_signals = command, None, False, False
    agent._run_processes = {}
    run = {"run_id": f"run{number}", "program": asked["program"]}
    agent._command_run(run | {"args": {name: {"value": value} for name, value in asked["parameters"].items()}})
    assert agent._run_processes[f"run{number}"].wait() == 0
"""
PARAMETERS: dict[str, Any] = {
    "lr": 0.1,
    "small": 1e-05,
    "deep": True,
    "slow": False,
    "large": 1e22,
    "text": "a b;$(x) 'y' \"z\" \\ud83d \N{ROCKET}\u2028",
    "looks.like": "${envvar:PLACE}",
    "nothing": None,
    "list": [1, "two"],
    "map": {"k": 1, "inner": {"l": [True]}},
}
START = ["${env}", "${interpreter}", "${program}"]
COMMANDS: dict[str, list[Any] | None] = {
    "default": None,
    "args": [*START, "${args}"],
    "args_no_hyphens": [*START, "${args_no_hyphens}"],
    "args_no_boolean_flags": [*START, "${args_no_boolean_flags}"],
    "args_no_equals": [*START, "${args_no_equals}"],
    "args_append_hydra": [*START, "${args_append_hydra}"],
    "args_override_hydra": [*START, "${args_override_hydra}"],
    "args_json": [*START, "${args_json}"],
    "args_json_file": [*START, "${args_json_file}", "between", "${args}", "${args_json_file}"],
    "envvar": ["${envvar:PYTHON_OF_MINE}", "show.py", "${envvar:PLACE}", "--at=${envvar:PLACE}/${envvar:EMPTY}x"],
    "envvar that is not there": [*START, "${envvar:NOT_THERE}", "a-${envvar:NOT_THERE}-b", "${envvar:lower}x"],
    "no interpreter": ["python", "${program}", "--flag"],
    "within a longer argument": [*START, "--batch_size=${lr}", "x${args}", "${args} y", "--file=${args_json_file}?"],
    "arguments that are no texts": [*START, 3, 0.5, True, None, 1e-05],
}
VARIABLES = {"PLACE": "a place; with $(spaces)", "EMPTY": ""}


def _variables(folder: Path) -> dict[str, str]:
    # The agent's `python` and ours: the one that is first on the PATH.
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**VARIABLES, "PYTHON_OF_MINE": sys.executable, "PATH": path, "SHOW_IN": str(folder / "shown")}


@pytest.fixture(scope="module")
def of_the_agent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script was started with by wandb's own agent, by the command's name."""
    folder = _folder(tmp_path_factory.mktemp("agent"))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    done = subprocess.run(
        [sys.executable, "-c", AGENT],
        input=json.dumps({"commands": list(COMMANDS.values()), "program": "show.py", "parameters": PARAMETERS}),
        cwd=folder,
        env=inherited | _variables(folder) | {"WANDB_SWEEP_ID": "s", "WANDB_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(COMMANDS, _shown(folder), strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_launcher_starts_what_wandbs_agent_starts(of_the_agent, tmp_path, name):
    folder = _folder(tmp_path)
    definition = {"program": "show.py", **({"command": COMMANDS[name]} if COMMANDS[name] else {})}
    macros.check_command(definition, "sweep.yaml")
    run = make_run(
        folder / "run",
        macros.command(definition, PARAMETERS, "sweep.yaml"),
        parameters=PARAMETERS,
        macros=macros.late_macros(definition, PARAMETERS, "sweep.yaml"),
    )
    status, said = run_to_end(run, _variables(folder))
    assert status == 0, said
    assert _shown(folder) == [of_the_agent[name]]
    assert of_the_agent[name]["config"] == PARAMETERS


def _folder(folder: Path) -> Path:
    (folder / "show.py").write_text(SHOW)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder


def _shown(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "shown").read_text().splitlines()]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_what_is_written_for_wandb_config_reads_as_it_was(value):
    assert yaml.safe_load(as_yaml(value)) == value


def test_a_run_has_the_variables_of_its_config_with_the_macros_of_this_node(tmp_path):
    """No shell sees a value, what the launcher sets itself stays, and PYTHONPATH is the user's behind wandb's hook."""
    parameters = {"lr": 0.1, "note": "${scratch}"}
    given = {
        "CACHE": "${scratch}/cache;$(touch shell)",
        "DATA": "${data}:${envvar:PLACE}:${envvar:NOT_THERE}",
        "ARGUMENTS": "${args}",
        "WHOLE": "${args_json}",
        "FILE": "${args_json_file}",
        "BEST": "${needs:first}/last.pt",
        "PYTHONPATH": "${envvar:PYTHONPATH}:/mine",
        "WANDB_SILENT": "true",
        "PLACE": "another",
    }
    (tmp_path / "best.json").write_text(json.dumps({"run": "abc"}))
    shown = f"import json, os; print('SEEN ' + json.dumps({{n: os.environ[n] for n in {[*given, 'RUNFERRY_DATA']}}}))"
    shown += "; print('FILE ' + open(os.environ['FILE']).read())"
    command = [sys.executable, "-c", shown, "${scratch}/here"]
    command[2] += "; import sys; print('ARGUMENT ' + json.dumps(sys.argv[1:]))"
    more = {"collect": ["x"], "needs": {"first": "../best.json"}, "variables": given}
    run = make_run(tmp_path / "run", command, parameters=parameters, **more)
    scratch = tmp_path / "node"
    scratch.mkdir()
    variables = {**VARIABLES, "SLURM_TMPDIR": str(scratch), "PYTHONPATH": os.environ.get("PYTHONPATH", "/none")}
    status, said = run_to_end(run, variables)
    assert status == 0, said
    seen = printed(run, "SEEN ")
    assert seen["CACHE"] == f"{scratch}/cache;$(touch shell)"
    assert seen["DATA"] == f"{seen['RUNFERRY_DATA']}:{VARIABLES['PLACE']}:NOT_THERE"
    assert seen["ARGUMENTS"] == "--lr=0.1 --note=${scratch}"
    assert json.loads(seen["WHOLE"]) == printed(run, "FILE ") == parameters
    assert seen["BEST"] == f"{tmp_path / 'abc' / 'checkpoints'}/last.pt"
    assert seen["PYTHONPATH"].endswith(f"{variables['PYTHONPATH']}:/mine")
    assert (seen["WANDB_SILENT"], seen["PLACE"]) == ("true", "another")
    assert printed(run, "ARGUMENT ") == [f"{scratch}/here"]
    assert not (tmp_path / "shell").exists()

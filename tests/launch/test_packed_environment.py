"""A command in a real, packed environment."""

from __future__ import annotations

import json

import pytest

from runferry.environment.building import build
from runferry.environment.specification import Specification
from support.attempt_files import attempts_of
from support.launching import lines, make_run, run_to_end

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def record(tmp_path_factory, wheels):
    folder = tmp_path_factory.mktemp("environments")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"--no-index\n--find-links {wheels}\ntabulate\n")
    build(Specification(requirements), folder / "default.json")
    return folder / "default.json"


def test_the_command_runs_in_the_environment_on_the_node(tmp_path, record):
    node = tmp_path / "node"
    node.mkdir()
    code = "import json, sys, tabulate; print('found', json.dumps([sys.prefix, tabulate.__file__]))"
    relative = f"../../{record.parent.name}/{record.name}"
    folder = make_run(record.parent.parent / "results" / "run", ["python", "-c", code], environment=relative)
    assert run_to_end(folder, {"SLURM_TMPDIR": str(node)})[0] == 0
    prefix, module = next(json.loads(line.removeprefix("found")) for line in lines(folder) if line.startswith("found"))
    assert prefix.startswith(str(node))
    assert module.startswith(prefix)
    assert attempts_of(folder)[0]["environment"] == json.loads(record.read_text())["key"]


def test_a_console_script_of_the_environment_is_a_command(tmp_path, record):
    table = tmp_path / "table.txt"
    table.write_text("a b\nc d\n")
    folder = make_run(tmp_path / "run", ["tabulate", str(table)], environment=str(record))
    assert run_to_end(folder)[0] == 0
    assert "-  -" in lines(folder)


def test_an_environment_that_is_missing_is_one_line(tmp_path):
    folder = make_run(tmp_path / "run", ["true"], environment="../none.json")
    code, errors = run_to_end(folder)
    assert code == 1
    (line,) = errors.splitlines()
    assert str(tmp_path / "none.json") in line
    assert attempts_of(folder)[0]["message"] == line

"""CONTRIBUTING.md: its picture is the contract of imports, and every file that it names is there."""

from __future__ import annotations

import re
import sys
import tomllib

from support.paths import ROOT

sys.path.insert(0, str(ROOT / "docs" / "hooks"))

from flowchart import layers_of

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
# What a reader of "To add something" makes, and what a build does.
MADE = {"src/runferry/cli/greet.py", "tests/cli/test_greet.py", "dist/"}


def test_the_picture_is_the_contract_of_imports():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    rooms = [{name.strip().removeprefix("runferry.") for name in re.split("[:|]", layer)} for layer in layers]
    # The program's start, and a part of the API.
    rooms = [layer for layer in rooms if layer not in ({"__main__"}, {"api_run"})]
    (picture,) = re.findall(r"```mermaid\nflowchart TB\n(.*?)```", PAGE, re.DOTALL)
    assert [set(layer) for layer in layers_of(picture)] == rooms


def test_the_table_has_every_room():
    rooms = {folder.parent.name for folder in (ROOT / "src" / "runferry").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == rooms


def test_every_file_that_it_names_is_there():
    named = set(re.findall(r"`((?:src|tests|docs|workflow|profiles|benchmarks|dist)/[^`\s]*)`", PAGE))
    named |= set(re.findall(r"\]\((?!http)([^)#]+)", PAGE))
    commands = re.findall(r"\btests/[\w/]+\.py", PAGE)
    wanted = {name for name in named | set(commands) if "<" not in name} - MADE
    assert len(wanted) > 40
    assert [name for name in sorted(wanted) if not (ROOT / name).exists()] == []


def test_what_it_says_is_in_a_file_is_defined_there():
    named = re.findall(r"`(\w+)` (?:in|of) `(src/[\w/]+\.py)`", PAGE)
    assert len(named) > 8
    assert [pair for pair in named if not re.search(rf"^(?:class|def) {pair[0]}\b", _text(pair[1]), re.MULTILINE)] == []


def _text(file: str) -> str:
    return (ROOT / file).read_text()

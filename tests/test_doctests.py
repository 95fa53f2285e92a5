"""The examples in docstrings, each module's in a temporary folder of its own."""

from __future__ import annotations

import doctest
import importlib
import re

import pytest

from support.paths import ROOT

FILES = sorted((ROOT / "src" / "runferry").rglob("*.py"))
EXAMPLES = [
    ".".join(file.relative_to(ROOT / "src").with_suffix("").parts) for file in FILES if ">>> " in file.read_text()
]
# What a contributor reads first, and what other programs call.
FIRST = {
    "runferry.api",
    "runferry.config.cluster",
    "runferry.config.sweep.definition",
    "runferry.runs.folder",
    "runferry.runs.receipt",
    "runferry.trackers.wandb.log.segment",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_docstring_give_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(variable, raising=False)
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert done.attempted > 0
    assert done.failed == 0


def test_what_is_read_first_has_examples():
    assert FIRST - set(EXAMPLES) == set()


def test_every_function_of_the_api_has_an_example_or_is_named_in_one():
    text = (ROOT / "src" / "runferry" / "api.py").read_text()
    functions = re.findall(r"^def ([a-z]\w*)", text, re.MULTILINE)
    examples = "\n".join(re.findall(r"(?:>>>|\.\.\.) (.*)", text))
    assert len(functions) > 5
    assert [name for name in functions if f"{name}(" not in examples] == []

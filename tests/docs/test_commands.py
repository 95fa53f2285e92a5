"""Every command of the documentation, as a reader types it, in a copy of the checkout."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from runferry.cli import main
from runferry.config import loading
from runferry.config.sweep import definition
from runferry_standin import running
from support.documented_commands import NOT_AS_WRITTEN, ROOT, fences, pages, script, sessions
from support.slurm_stub import make_stub

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
SESSIONS = sessions()
TRAIN = "import sys, wandb\nrun = wandb.init()\nrun.log({'n': int(sys.argv[1].split('=')[1])})\nrun.finish()\n"
MINE = """
import argparse, wandb
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
run = wandb.init(config=vars(parser.parse_args()))
run.log({"loss": 1})
"""


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of the checkout, in which two small runs of the experiment `digits` are synced, and its variables."""
    scratch = tmp_path_factory.mktemp("scratch")
    folder = scratch / "runferry"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "train.py").write_text(TRAIN)
    sweep = {
        "method": "grid",
        "parameters": {"n": {"values": [1, 2]}},
        "command": [sys.executable, "train.py", "${args}"],
    }
    small = {"wandb": {"project": "digits"}, "experiments": {"digits": {"sweep": sweep}}}
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(small))
    with running() as server:
        stub = make_stub(scratch / "slurm")
        accounts = " ".join(f"{kind}-somebody_{part}" for kind in ("def", "aip") for part in ("cpu", "gpu"))
        variables = stub.variables | server.environment | {"STUB_ACCOUNTS": accounts, "WANDB_ERROR_REPORTING": "false"}
        variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables["PATH"]])
        done = _bash("snakemake --profile profiles/local", folder, variables | {"HOME": str(scratch)})
        assert done.returncode == 0, done.stderr
        yield folder, variables


def _bash(text: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # A key, an account or a cluster of the person who runs the tests must not reach them.
    strange = ("WANDB_", "SLURM_", "SBATCH_", "CC_", "SNAKEMAKE_", "MAKE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=inherited | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize("place", SESSIONS)
def test_the_commands_of_a_block_do_what_they_are_for(place, checkout, tmp_path):
    template, variables = checkout
    folder = tmp_path / "scratch" / "runferry"
    shutil.copytree(template, folder, symlinks=True)
    home = tmp_path / "home"
    home.mkdir()
    (home / "runferry-venv").symlink_to(ROOT / ".venv")
    _write_old_project(folder, home / "old-project")
    (home / "my-project").mkdir()
    (home / "my-project" / "train.py").write_text(MINE)
    (home / "my-project" / "requirements.txt").write_text("wandb\n")
    text = script(SESSIONS[place])
    if "somebody" not in text:
        # Where no account is named, the reader has one.
        variables = variables | {"STUB_ACCOUNTS": "somebody", "SBATCH_ACCOUNT": "somebody"}
    done = _bash(text, folder, variables | {"HOME": str(home), "SCRATCH": str(folder.parent)})
    assert done.returncode == 0, done.stdout + done.stderr


def _write_old_project(folder: Path, project: Path) -> None:
    """Lay a segment down as a loop without runferry has left it, some time ago."""
    segment = next((folder / "results").glob("digits/*/wandb/offline-run-*"))
    shutil.copytree(segment, project / "wandb" / segment.name, symlinks=True)
    for path in project.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)


def test_nothing_is_on_the_list_that_no_page_says():
    said = {command for commands in SESSIONS.values() for command in commands}
    assert [command for command in NOT_AS_WRITTEN if command not in said] == []


def test_every_block_says_what_it_is():
    # An indented block, or one without a language, could hold commands that nobody runs.
    assert {fence.language for fence in fences()} <= {"console", "yaml", "python", "mermaid", "text"}
    for fence in fences():
        if fence.language == "console":
            assert fence.commands, f"{fence.place}: no command; one begins with $"
    for name, text in pages().items():
        plain = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        indented = re.findall(r"\n\n    \S.*", re.sub(r"^!!! .*\n\n(?:    .*\n|\n)*", "", plain, flags=re.MULTILINE))
        assert indented == [], name


def _inline_commands() -> list[tuple[str, str]]:
    """Commands within a sentence: the page, the command. What a reader has to complete (`...`) is none."""
    found = []
    for name, text in pages().items():
        plain = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for span in re.findall(r"`([^`]+)`", plain):
            words = " ".join(span.split())
            if re.match(r"(runferry|snakemake|make|pytest|\.venv/bin/python) ", words) and "..." not in words:
                found.append((name, words))
    return sorted(set(found))


@pytest.mark.parametrize(("name", "command"), _inline_commands())
def test_a_command_within_a_sentence_is_one(name, command):
    program, *words = shlex.split(command)
    if program == "runferry":
        parser, _ = main._parser()
        # With its name alone a command is spoken of, not typed.
        given = words if len(words) > 1 or words[0].startswith("-") else [*words, "--help"]
        if "--help" in given or "--version" in given:
            with pytest.raises(SystemExit) as ended:
                parser.parse_args(given)
            assert ended.value.code == 0
        else:
            parser.parse_args(given)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[0] in targets
    elif program == "snakemake":
        for profile in [after for word, after in pairwise(words) if word == "--profile"]:
            assert (ROOT / profile).is_dir() or "<" in profile or profile.startswith("$(runferry profile ")
    else:
        for file in [word for word in words if word.endswith(".py")]:
            assert (ROOT / file).is_file()


@cache
def _tests_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _tests_named(text: str) -> list[tuple[str, str]]:
    return re.findall(r"(tests/[\w/]+\.py)::(\w+)", text)


def test_every_test_that_a_page_or_the_list_names_is_there():
    named = [pair for text in pages().values() for pair in _tests_named(text)]
    listed = [pair for known in NOT_AS_WRITTEN.values() for pair in _tests_named(known.shown_by or "")]
    assert len(named) > 60
    assert [f"{file}::{name}" for file, name in named + listed if name not in _tests_of(file)] == []


def test_what_happens_when_names_a_test_in_every_row():
    rows = re.findall(r"^\| (?!what happens \||---).*$", pages()["docs/what-happens-when.md"], re.MULTILINE)
    assert len(rows) > 40
    assert [row for row in rows if not _tests_named(row)] == []


@pytest.mark.parametrize(
    "fence", [fence for fence in fences() if fence.language == "yaml"], ids=lambda fence: fence.place
)
def test_a_piece_of_a_config_is_one(fence):
    schema = yaml.safe_load(SCHEMA.read_text())
    given = yaml.safe_load(fence.text)
    smallest = {"wandb": {"project": "p"}, "experiments": {"e": {"command": ["true"]}}}
    if given.keys() & {"method", "program"}:
        definition.check(given, fence.place)
    elif given.keys() <= schema["properties"].keys():
        loading.validate(smallest | given, SCHEMA)
    else:
        # A piece of an experiment.
        loading.validate(smallest | {"experiments": {"e": given}}, SCHEMA)


def _texts_of_the_source() -> list[str]:
    nodes = [node for file in (ROOT / "src").rglob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_the_messages_that_troubleshooting_explains_are_said():
    page = pages()["docs/troubleshooting.md"]
    ours = re.split(r"^## ", page[page.index("## Messages") + 3 :], flags=re.MULTILINE)[0]
    messages = re.findall(r"^\| `([^`]+)` \|", ours, re.MULTILINE)
    assert len(messages) > 15
    texts = _texts_of_the_source()
    for message in messages:
        # What differs is `...` on the page, and a value in the source.
        for piece in (part.strip() for part in re.split(r"\.\.\.", message)):
            assert len(piece) < 4 or any(piece in text for text in texts), f"{message}: nobody says {piece!r}"

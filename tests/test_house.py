"""The contract of the rooms, as `make check` holds it: imports point down, also those for types and in functions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT
from support.record_accesses import CLEAR, PACKAGE, READING, accesses, raw_reads

UPWARD = {
    "at the top": "from runferry.sync.engine import sync\n",
    "for types": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from runferry.sync.engine import sync\n",
    "in a function": "def function():\n    from runferry.sync.engine import sync\n",
}


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed")
    return subprocess.run(
        [program, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("how", UPWARD)
def test_an_import_upward_is_refused(tmp_path, how):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src" / "runferry" / "runs" / "upward.py").write_text(UPWARD[how])
    done = _lint(tmp_path)
    assert done.returncode == 1
    assert "runferry.runs.upward -> runferry.sync.engine" in done.stdout


def test_every_room_is_in_the_contract():
    contract = (ROOT / "pyproject.toml").read_text()
    rooms = [folder.name for folder in (ROOT / "src" / "runferry").iterdir() if (folder / "__init__.py").exists()]
    assert len(rooms) == 11
    assert [room for room in rooms if f"runferry.{room}" not in contract] == []


def test_modules_stay_small():
    lengths = {file: len(file.read_text().splitlines()) for file in (ROOT / "src").rglob("*.py")}
    assert {str(file.relative_to(ROOT)): lines for file, lines in lengths.items() if lines > 300} == {}


def _past_the_class(source: str) -> list[str]:
    return [*accesses(source, CLEAR), *raw_reads(source, READING)]


def test_records_of_runs_are_read_by_their_classes():
    """What `read_run`, `attempts` and `Receipt.read` return has no keys: pyright holds that; here the rest."""
    others = [file for file in sorted(PACKAGE.rglob("*.py")) if file.parent != PACKAGE / "runs"]
    found = {str(file.relative_to(PACKAGE)): lines for file in others if (lines := _past_the_class(file.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        'attempt["reason"]',
        'attempt.get("reason")',
        'self.run_record["wandb"]["project"]',
        '"early_terminate" in self.run_record',
        'folder.read_run()["id"]',
        '(last_attempt(folder) or {}).get("outcome")',
        "read_json(folder.receipt_file)",
        'read_json(folder / run / "run.json")',
    ],
)
def test_a_record_that_is_read_by_key_is_found(line):
    assert _past_the_class(line)

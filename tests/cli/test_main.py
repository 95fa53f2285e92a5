"""What a person sees of an error: one line, and the traceback only when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runferry.cli import status
from runferry.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

DEFECT = "the first line\nand a second"


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `runferry status` that fails as only a defect of runferry's can make it fail."""

    def fail(_: Any) -> None:
        raise ZeroDivisionError(DEFECT)

    monkeypatch.delenv("RUNFERRY_DEBUG", raising=False)
    monkeypatch.setattr(status, "run_folders_and_missing", fail)


@pytest.mark.usefixtures("defect")
def test_a_defect_is_one_line_that_says_how_to_see_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "a folder"]) == 1

    [line] = capfd.readouterr().err.splitlines()
    assert "ZeroDivisionError: the first line" in line
    assert line.endswith("run: runferry --debug status 'a folder'")


@pytest.mark.usefixtures("defect")
@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_traceback_is_shown_when_asked_for(
    way: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if way == "environment":
        monkeypatch.setenv("RUNFERRY_DEBUG", "1")

    assert main([*(["--debug"] if way == "option" else []), "status"]) == 1

    assert "Traceback (most recent call last)" in capfd.readouterr().err


def test_what_a_rule_or_job_types_names_the_command_that_the_person_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["status", str(tmp_path / "nowhere")]
    monkeypatch.delenv("RUNFERRY_STARTED_BY", raising=False)
    assert main(words) == 2
    assert capfd.readouterr().err.endswith(f"; fix it, then run: runferry status {tmp_path}/nowhere\n")
    monkeypatch.setenv("RUNFERRY_STARTED_BY", "snakemake --profile profiles/narval")
    assert main(words) == 2
    assert capfd.readouterr().err.endswith("; fix it, then run: snakemake --profile profiles/narval\n")


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_an_error_the_user_can_mend_has_a_traceback_only_with_debug(
    value: str, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNFERRY_DEBUG", value)

    assert main(["status", str(tmp_path / "nowhere")]) == 2

    errors = capfd.readouterr().err
    assert str(tmp_path / "nowhere") in errors
    assert ("Traceback" in errors) is shown

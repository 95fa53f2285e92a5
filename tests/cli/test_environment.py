"""What a person types about environments."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from runferry.cli.main import main
from runferry.environment.unused import unused_archives

USED, OLD, RAN = "a" * 20, "b" * 20, "c" * 20


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with an archive that a record names, one that none does, and one that a run was trained with."""
    environments = tmp_path / "results" / "environments"
    environments.mkdir(parents=True)
    (environments / "default.json").write_text(json.dumps({"key": USED}))
    for key, suffix in {USED: ".tar.zst", OLD: ".tar.zst", RAN: ".tar"}.items():
        (environments / f"{key}{suffix}").write_bytes(bytes(2_000_000))
        (environments / f"{key}.lock.txt").write_text("numpy==2.0\n")
    (environments / f".{OLD}.tar.zst.1a2b.partial").touch()
    (environments / "notes.txt").touch()
    hour_ago = time.time() - 3600
    for file in environments.iterdir():
        os.utime(file, (hour_ago, hour_ago))
    attempt = tmp_path / "results" / "digits" / "k3j9" / "attempts" / "1.json"
    attempt.parent.mkdir(parents=True)
    attempt.write_text(json.dumps({"environment": RAN}))
    return tmp_path / "results"


def names(results: Path) -> list[str]:
    return sorted(file.name for file in (results / "environments").iterdir())


def test_unused_archives_are_listed_and_removed(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = names(results)
    assert main(["clean", "--environments", "--dry-run", str(results)]) == 0
    assert names(results) == before
    said = capsys.readouterr().err
    assert f"{OLD}.tar.zst: 2 MB, no record names it" in said
    assert "4 unused files, 4 MB; nothing was removed" in said
    assert main(["clean", "--environments", str(results)]) == 0
    # What a run was trained with stays known.
    kept = ["default.json", "notes.txt", f"{USED}.tar.zst", f"{USED}.lock.txt", f"{RAN}.lock.txt"]
    assert names(results) == sorted(kept)
    assert main(["clean", "--environments", str(results)]) == 0


def test_what_was_written_now_may_belong_to_a_build(results: Path) -> None:
    os.utime(results / "environments" / f"{OLD}.tar.zst")
    assert f"{OLD}.tar.zst" not in [item.path.name for item in unused_archives(results)]


def test_results_without_environments_have_nothing_unused(tmp_path: Path) -> None:
    assert unused_archives(tmp_path) == []


def test_clean_asks_what_to_remove(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", str(results)]) == 2
    assert main(["clean", "--environments", str(results / "none")]) == 2
    assert "no such folder, expected the folder of results" in capsys.readouterr().err


def test_a_record_that_is_missing_cannot_be_unpacked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unpack", str(tmp_path / "none.json"), str(tmp_path)]) == 1
    assert "no such environment record" in capsys.readouterr().err


def test_the_record_of_an_image_is_written(tmp_path: Path) -> None:
    image = tmp_path / "image.sif"
    image.write_bytes(b"an image")
    assert main(["environment", "--container", str(image), str(tmp_path / "out" / "default.json")]) == 0
    assert json.loads((tmp_path / "out" / "default.json").read_text())["image"] == str(image)

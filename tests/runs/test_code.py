"""The code of a run: what is read of it, and what of it is in a snapshot."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from runferry.runs import code_files
from runferry.runs.code import read_state, take_state, write_state
from runferry.runs.code_snapshot import archive_of, pin


def _git(folder: Path, *words: str) -> str:
    whole = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    return subprocess.run(whole, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for name, text in {
        "train.py": "import helper\n",
        "src/helper.py": "V = 1\n",
        "data/x.csv": "1\n",
        "README.md": "r\n",
        "secret/key.py": "k\n",
        ".gitignore": "secret\nresults\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    _git(folder, "init", "-q")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-qm", "first")
    return folder


def test_in_git_commit_diff_and_new_files_are_known(repository: Path):
    clean = take_state(repository)
    assert clean is not None
    assert (clean.commit, clean.diff, clean.changed) == (_git(repository, "rev-parse", "HEAD").strip(), "", False)
    assert sorted(clean.files) == ["src/helper.py", "train.py"]
    (repository / "src" / "helper.py").write_text("V = 2\n")
    (repository / "new.py").write_text("")
    assert not clean.is_current()
    # From a folder in the repository it is the whole of it all the same.
    edited = take_state(repository / "src")
    assert edited is not None
    assert "+V = 2" in (edited.diff or "")
    assert (edited.new, edited.changed) == (["new.py"], True)
    assert edited.digest != clean.digest
    assert clean.files_changed_until(edited) == ["src/helper.py"]


def test_without_git_the_folder_is_read_but_not_what_others_wrote_there(tmp_path: Path):
    for name in ("train.py", "results/e/x.py", ".venv/x.py", "env/x.py", "wandb/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    state = take_state(tmp_path)
    assert state is not None
    assert (list(state.files), state.commit, state.diff, state.changed) == (["train.py"], None, None, False)


def test_a_home_folder_is_nobodys_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(code_files, "_MOST_LOOKED_AT", 1)
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("")
    assert take_state(tmp_path) is None


def test_a_state_is_written_once_and_read_back(repository: Path, tmp_path: Path):
    state = take_state(repository)
    assert state is not None
    file = write_state(tmp_path, state)
    assert read_state(file) == state
    assert write_state(tmp_path, take_state(repository) or state) == file
    assert len(list(file.parent.iterdir())) == 1


def test_a_snapshot_holds_what_git_does_not_ignore_and_is_named_by_its_content(repository: Path, tmp_path: Path):
    (repository / "src" / "helper.py").write_text("V = 2\n")
    (repository / "large.py").write_bytes(bytes(10_000_001))
    state = pin(tmp_path, repository)
    archive = archive_of(tmp_path / ".code" / f"{state.key}.json")
    with tarfile.open(archive) as opened:
        names = opened.getnames()
        helper = opened.extractfile("src/helper.py")
        assert helper is not None
        assert helper.read() == b"V = 2\n"
    assert names == [".gitignore", "README.md", "data/x.csv", "src/helper.py", "train.py"]
    assert pin(tmp_path, repository).key == state.key
    assert len(list(archive.parent.iterdir())) == 2

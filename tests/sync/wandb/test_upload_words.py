"""What `wandb sync` says itself when it cannot do its work is in the run's line."""

from __future__ import annotations

import errno

import pytest

from runferry.errors import ServerError
from runferry.sync.engine import sync
from runferry.sync.upload_process import sending
from support.limits import within
from support.sync_processes import QUICK
from support.written_runs import markers, receipt, wrong

pytestmark = pytest.mark.usefixtures("connected")

BROKEN = {
    "does not start": (
        "raise ImportError('libcore.so: not found')",
        "failed (exit code 1)",
        "libcore.so: not found",
    ),
    "is killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed (SIGKILL", "out of memory?"),
    "refuses a key": (
        "import os, sys; print('wandb: ERROR API key is not valid: ' + os.environ['WANDB_API_KEY']); sys.exit(1)",
        "failed (exit code 1)",
        "ERROR API key is not valid: (the key)",
    ),
    "says nothing": ("import sys; sys.exit(3)", "failed (exit code 3)", "said: nothing"),
}


@pytest.mark.parametrize("with_log", [False, True], ids=["no log", "log"])
@pytest.mark.parametrize("broken", BROKEN)
def test_the_words_of_a_wandb_sync_that_fails(broken, with_log, written, server, tmp_path, monkeypatch):
    code, how, words = BROKEN[broken]
    folders = written.copied_to(tmp_path / "results")
    package = tmp_path / "broken" / "wandb"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(code)
    with monkeypatch.context() as patch, (tmp_path / "log").open("w") as log:
        log.write("error: of an earlier one\n")
        patch.setenv("PYTHONPATH", str(package.parent))
        outcomes = sync(folders, QUICK, log=log if with_log else None)
    for outcome, folder in zip(outcomes, folders, strict=True):
        problem = outcome.problem or ""
        assert "wandb sync " + how in problem
        assert words in problem
        assert server.key not in problem
        assert "earlier one" not in problem
        assert "\n" not in problem
        assert receipt(folder) is None
        assert markers(folder) == []
    assert sync(folders, QUICK)[0].problem is None
    assert wrong(server, folders[0]) == []


def test_the_words_of_a_wandb_sync_without_any_folder_for_its_files(written, server, tmp_path, monkeypatch):
    folders = written.copied_to(tmp_path / "results")

    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("runferry.sync.wandb.upload.tempfile.gettempdir", none)
    for outcome in sync(folders, QUICK):
        assert "wandb sync could not be started" in (outcome.problem or "")
        assert "No usable temporary directory found" in (outcome.problem or "")


def test_the_words_of_an_upload_whose_program_is_gone(tmp_path):
    gone = str(tmp_path / "python")
    expected = "could not be started .No such file or directory., expected an upload"
    with (
        pytest.raises(ServerError, match=expected),
        (tmp_path / "log").open("w") as log,
        sending([gone], {}, tmp_path, tmp_path, log),
    ):
        pass


def test_a_tmpdir_that_is_gone_costs_nothing(written, server, tmp_path, monkeypatch):
    folders = written.copied_to(tmp_path / "results")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "purged"))
    for outcome, folder in zip(sync(folders, QUICK), folders, strict=True):
        assert outcome.problem is None
        assert wrong(server, folder) == []


def test_what_is_gone_for_good_names_the_setting(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    for page in folders[0].path.glob("wandb/*/files/media/html/*.html"):
        page.unlink()
    gone, good, _ = sync(folders, QUICK)
    assert "sync.accept_missing: true" in (gone.problem or "")
    assert good.problem is None
    assert sync(folders[:1], within(0.5, 30, accept_missing=True))[0].problem is None

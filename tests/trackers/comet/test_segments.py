"""Archives of Comet that a kill cut off."""

from __future__ import annotations

import zipfile
from pathlib import Path

from runferry.runs.folder import RunFolder
from support.comet_runs import TEN, assert_all_there, sync_one


def _leave_messages_only(folder: RunFolder) -> Path:
    """Make of an archive what a killed process leaves, without `experiment.json`."""
    (archive,) = folder.path.glob("comet/attempt-1/*.zip")
    data = archive.with_name("data-left")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(data)
    (data / "experiment.json").unlink()
    return data


def test_the_last_line_of_a_killed_run_may_be_cut_off(server, run):
    data = _leave_messages_only(run)
    (archive,) = run.path.glob("comet/attempt-1/*.zip")
    with zipfile.ZipFile(archive, "w"):
        pass
    with (data / "messages.json").open("a") as messages:
        messages.write('{"payload":{"local_tim')
    assert sync_one(run).problem is None
    experiment = server.the_only()
    assert experiment.values("loss") == TEN
    assert experiment.project == "numbers"
    assert list(server.experiments) == [(run.path / "comet" / "experiment_key").read_text()]


def test_a_run_that_was_killed_while_comet_removed_what_it_had_archived_is_there_once(server, run):
    _leave_messages_only(run)
    assert sync_one(run).problem is None
    assert_all_there(server.the_only())


def test_an_empty_archive_without_its_messages_is_said_and_never_called_done(server, run):
    (archive,) = run.path.glob("comet/attempt-1/*.zip")
    with zipfile.ZipFile(archive, "w"):
        pass
    problem = sync_one(run).problem
    assert problem
    assert "the archive is empty: the experiment was not ended, and what it logged was on the node" in problem
    assert server.experiments == {}

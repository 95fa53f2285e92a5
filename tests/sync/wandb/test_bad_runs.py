"""One run of a batch that cannot be read: its own line, the others synced, and nothing hangs."""

from __future__ import annotations

import os
import threading

import pytest

from runferry.errors import RunferryError
from runferry.sync.engine import sync
from runferry.sync.wandb.live_run import Followed, LiveRun
from runferry.trackers.wandb.log.segment import read_segment
from support.sync_processes import QUICK
from support.written_runs import log_of, receipt, wrong

pytestmark = pytest.mark.usefixtures("connected")


def _in_time(function):
    """Call it in a thread that ends with the process, so that a hang fails the test and no more."""
    done = []

    def call():
        try:
            done.append(function())
        except RunferryError as error:
            done.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(60)
    assert done, "it hangs"
    return done[0]


def test_a_pipe_as_log_gives_that_runs_line_and_the_others_are_synced(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    log = log_of(folders[1])
    log.unlink()
    os.mkfifo(log)
    assert "found no regular file" in str(_in_time(lambda: read_segment(log.parent)))
    live = Followed(LiveRun(folders[1]), None, "tests")
    assert _in_time(live.read) is False
    assert "found no regular file" in (live.run.problem or "")
    outcomes = _in_time(lambda: sync(folders, QUICK))
    assert "found no regular file" in (outcomes[1].problem or "")
    for outcome in (outcomes[0], outcomes[2]):
        assert outcome.problem is None
        assert receipt(outcome.folder)
        assert wrong(server, outcome.folder) == []


@pytest.mark.parametrize("record", ["[]", "null", '"x"', "7", '{"wandb": []}', '{"wandb": null}', "{}", "{"])
def test_a_record_that_is_none_gives_that_runs_line(record, written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")[:2]
    folders[0].run_file.write_text(record)
    bad, good = sync(folders, QUICK)
    assert bad.problem
    assert "run.json" in bad.problem
    assert "\n" not in bad.problem
    assert good.problem is None
    assert wrong(server, folders[1]) == []

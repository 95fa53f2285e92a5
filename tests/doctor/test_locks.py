"""Locks that hold and locks that do not."""

from __future__ import annotations

import errno
import os

import pytest

from runferry.doctor import locks


def test_locks_of_this_machine_hold(tmp_path):
    found = list(locks.locks(tmp_path))
    assert [finding.mark for finding in found] == ["info", "ok", "ok", "ok"]
    assert not list(tmp_path.glob(".runferry-doctor-*"))


def _no_lock(handle, how):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.mark.parametrize(
    ("lock", "mark", "said"),
    [(lambda _handle, _how: None, "problem", "both have it at once"), (_no_lock, "differs", "none: Function not")],
)
def test_locks_that_do_not_hold_are_named(tmp_path, lock, mark, said):
    found = locks._between_processes(tmp_path / "file", "flock", lock)
    assert found.mark == mark
    assert found.found.startswith(said)


def test_a_lock_that_another_process_holds_is_seen(tmp_path):
    with locks.held(tmp_path / "lock"):
        assert locks.other_takes(tmp_path / "lock") == "refused"
    assert locks.other_takes(tmp_path / "lock") == "taken"

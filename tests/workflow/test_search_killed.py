"""A controller that is killed at twenty moments: no point twice, none lost, the history as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from runferry.config.search.state import Asked, points_file, read_events
from support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("optuna")
pytestmark = pytest.mark.slow

COUNT, KILLS = 12, 20


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.search_controller", str(folder), str(COUNT)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])},
        start_new_session=True,
    )


def _written(folder: Path) -> int:
    file = points_file(folder / "search")
    return len(file.read_bytes().splitlines()) if file.exists() else 0


def test_a_controller_killed_at_twenty_moments_changes_nothing(tmp_path):
    moments = random.Random(0)
    killed = 0
    for _ in range(KILLS):
        # After so many more lines of the history, and a moment: however fast the machine is.
        wanted, pause = _written(tmp_path / "killed") + moments.choice([0, 1, 1]), moments.uniform(0, 0.8)
        process = _start(tmp_path / "killed")
        while process.poll() is None and _written(tmp_path / "killed") < wanted:
            time.sleep(0.01)
        with suppress(subprocess.TimeoutExpired):
            process.wait(pause)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
    assert _start(tmp_path / "killed").wait() == 0
    assert _start(tmp_path / "whole").wait() == 0
    history, whole = (read_events(points_file(tmp_path / name / "search")) for name in ("killed", "whole"))
    assert [event.to_json() for event in history] == [event.to_json() for event in whole]
    assert [event.asked for event in history if isinstance(event, Asked)] == list(range(1, COUNT + 1))
    assert killed >= KILLS // 2, "the search was over too soon"

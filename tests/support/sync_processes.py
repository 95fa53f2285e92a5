"""`runferry sync` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runferry.sync.engine import sync
from support.limits import within
from support.written_runs import receipt, wrong

QUICK = within(0.5, 30)


def completes(server, folders) -> None:
    for outcome, folder in zip(sync(folders, QUICK), folders, strict=True):
        assert outcome.problem is None
        assert wrong(server, folder) == []
        assert receipt(folder)


def sync_process(*paths: Path, options: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "runferry", "sync", *options, *map(str, paths)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )

"""The Python API, without a server."""

from __future__ import annotations

import subprocess
import sys
import threading

from runferry import api
from support.new_runs import own_folder  # noqa: F401 - a fixture


def test_launch_in_another_thread_says_what_to_do():
    run = api.create_run("results/line/a", ["true"])
    caught: list[Exception] = []

    def try_it() -> None:
        try:
            api.launch(run)
        except api.RunferryError as error:
            caught.append(error)

    thread = threading.Thread(target=try_it, name="helper")
    thread.start()
    thread.join()
    assert "found the thread helper, expected the process's main thread" in str(caught[0])
    assert run.attempts == []


def test_importing_the_library_imports_neither_wandb_nor_snakemake():
    code = "import sys, runferry.api; sys.exit(any(name in sys.modules for name in ('wandb', 'snakemake')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

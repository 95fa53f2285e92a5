"""Define the handlers `onstart`, `onsuccess` and `onerror` of the Snakefile."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from runferry.config.sync_place import is_remote
from runferry.errors import ConfigError
from runferry.runs.folder import find_run_folders
from runferry.system.messages import say
from runferry.workflow import live_sync
from runferry.workflow.folder_lock import note_start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.workflow.workflow import Workflow


def on_start(plan: Workflow, results: Path, logs: Path) -> None:
    """Warn of files that a purge will delete, and start live sync where the config says so.

    Called once Snakemake has the folder's lock and is about to run jobs. Live sync would end by itself with this
    Snakemake, however that ends.

    Parameters
    ----------
    plan
        The checked config.
    results, logs
        The folders of the experiments and of logs.
    """
    note_start()
    # Only here: every job evaluates the Snakefile, and this imports protobuf.
    from runferry.report.status.purge import purge_warning

    # What no config names any more is purged, too.
    with suppress(ConfigError):
        if warning := purge_warning(lambda: find_run_folders(results)):
            say(warning)
    section = plan.config["sync"]
    # Where another machine syncs, `runferry pull --watch` on it does what this would.
    if section["watch"] and not is_remote(plan.config):
        live_sync.start(results, logs / "watch.log", section["interval"], attempts_follow=plan.retries > 0)


def on_success(plan: Workflow, results: Path) -> None:
    """Stop live sync; what it has not sent is left to `runferry sync`. Say what another machine has to do."""
    live_sync.stop(results)
    _say_pull(plan, results)


def on_error(plan: Workflow, results: Path) -> None:
    """Sync and report the runs on disk, failed ones too, and name the experiments that were not started.

    What exists already costs nothing; what cannot be carried is named and left.
    """
    live_sync.stop(results)
    folders = [str(results / name) for name in plan.experiments]
    if not is_remote(plan.config):
        _carry(["sync", "--if-any"], folders)
    _say_pull(plan, results)
    _carry(["report", "--if-any"], folders)
    from runferry.workflow.best_run import unmet_needs

    for line in unmet_needs(results, plan.experiments):
        say(line)


def _say_pull(plan: Workflow, results: Path) -> None:
    """Name the command that brings the runs to another machine, where that one syncs."""
    if not is_remote(plan.config):
        return
    runs = [folder for folder in find_run_folders(results) if not folder.receipt_file.exists()]
    if runs:
        host = plan.cluster.login_host or socket.gethostname()
        which = f"{len(runs)} runs have no receipt" if len(runs) > 1 else "one run has no receipt"
        say(f"{which}; on a machine with internet, type: runferry pull {host}:{results.resolve()}")


def _carry(words: Sequence[str], folders: Sequence[str]) -> None:
    if folders:
        subprocess.run([sys.executable, "-m", "runferry", *words, *folders], check=False)

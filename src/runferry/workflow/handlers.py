"""Define the handlers `onstart`, `onsuccess` and `onerror` of the Snakefile."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runferry.config.sync_place import is_remote
from runferry.errors import ConfigError, RunferryError
from runferry.runs.folder import find_run_folders
from runferry.system.messages import say, typed
from runferry.workflow import live_sync
from runferry.workflow.code import note_code
from runferry.workflow.folder_lock import note_start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder
    from runferry.workflow.workflow import Workflow

_fired: list[tuple[str, Workflow]] = []


def on_start(plan: Workflow, results: Path, logs: Path) -> None:
    """Note the code, write deleted runs' records again, warn of a purge, and start live sync where the config says so.

    Called once Snakemake has the folder's lock and is about to run jobs. Live sync would end by itself with this
    Snakemake, however that ends.

    Parameters
    ----------
    plan
        The checked config.
    results, logs
        The folders of the experiments and of logs.
    """
    if not _first_time("start", plan):
        return
    note_start()
    note_code(results, plan.experiments.values())
    for name in plan.listed:
        plan.experiments[name].write_missing(results / name)
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


def on_success(plan: Workflow, results: Path, *, quiet: bool = False) -> None:
    """Stop live sync, whose rest is left to `runferry sync`, and say what came out unless the user wants quiet."""
    if not _first_time("success", plan):
        return
    live_sync.stop(results)
    _say_pull(plan, results)
    if not quiet:
        _say_last_lines(plan, results, succeeded=True)


def on_error(plan: Workflow, results: Path) -> None:
    """Sync and report the runs on disk, failed ones too, and say what failed and which experiments were not started.

    What exists already costs nothing; what cannot be carried is named and left.
    """
    if not _first_time("error", plan):
        return
    live_sync.stop(results)
    folders = [str(results / name) for name in plan.experiments]
    if not is_remote(plan.config):
        _carry(["sync", "--if-any"], folders)
    _say_pull(plan, results)
    _carry(["report", "--if-any"], folders)
    from runferry.workflow.best_run import unmet_needs

    for line in unmet_needs(results, plan.experiments):
        say(line)
    _say_last_lines(plan, results, succeeded=False)


def fire_in_module(workflow: Any, plan: Workflow, results: Path, logs: Path) -> None:
    """Have the handlers fire where this workflow is a module of one that calls none, such as snakedeploy's.

    Snakemake (9.17 to 9.27) keeps the handlers of a module for the workflow above to call. One that has handlers of its
    own, below its `module` statement, has to.

    Parameters
    ----------
    workflow
        Snakemake's.
    plan, results, logs
        As for `on_start`.
    """
    ours: dict[str, Callable[[], None]] = {
        "_onstart": lambda: on_start(plan, results, logs),
        "_onsuccess": lambda: on_success(plan, results),
        "_onerror": lambda: on_error(plan, results),
    }
    for name, handler in ours.items():
        before = getattr(workflow, name, None)
        if callable(before):
            setattr(workflow, name, _both(before, handler))


def _both(before: Callable[[Any], object], handler: Callable[[], None]) -> Callable[[Any], None]:
    def fire(log: Any) -> None:
        before(log)
        handler()

    return fire


def _first_time(event: str, plan: Workflow) -> bool:
    """Return whether a handler has not run yet: a workflow above may call those of a module, too."""
    if any(before == event and other is plan for before, other in _fired):
        return False
    _fired.append((event, plan))
    return True


def _say_last_lines(plan: Workflow, results: Path, *, succeeded: bool) -> None:
    from runferry.workflow.last_lines import last_lines

    # The runs are what they are, whatever keeps these lines from being said.
    with suppress(RunferryError, OSError, ValueError):
        for line in last_lines(results, plan.experiments, again=typed(["snakemake"]), succeeded=succeeded):
            say(line)


def _say_pull(plan: Workflow, results: Path) -> None:
    """Name the command that brings the runs to another machine, where that one syncs."""
    if not is_remote(plan.config):
        return
    runs: list[RunFolder] = []
    # Nothing has begun where there is no run.
    with suppress(ConfigError):
        runs = [folder for folder in find_run_folders(results) if not folder.receipt_file.exists()]
    if runs:
        host = plan.cluster.login_host or socket.gethostname()
        which = f"{len(runs)} runs have no receipt" if len(runs) > 1 else "one run has no receipt"
        say(f"{which}; on a machine with internet, run: runferry pull {host}:{results.resolve()}")


def _carry(words: Sequence[str], folders: Sequence[str]) -> None:
    if folders:
        subprocess.run([sys.executable, "-m", "runferry", *words, *folders], check=False)

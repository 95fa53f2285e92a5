"""Bring what has no receipt from a site, sync it here, and give the site the receipts: one cycle of `runferry pull`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.errors import RunferryError
from runferry.runs.folder import RunFolder
from runferry.runs.receipt import holds
from runferry.runs.receipt_record import Receipt
from runferry.sync.lock import results_lock
from runferry.sync.remote.connection import SiteError, ask, connected, take_hold
from runferry.sync.remote.frames import PING_SECONDS, LineError
from runferry.sync.remote.mirror import Mirror, read_list
from runferry.sync.upload_process import end_orphans
from runferry.system.values import batches
from runferry.trackers.registry import given_base_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.sync.remote.connection import Site
    from runferry.sync.remote.frames import Line
    from runferry.sync.remote.mirror import Listed
    from runferry.system.progress import Progress

RUNS_PER_SYNC = 500
"""In one `runferry sync`, whose command line names them."""
TRIES = 6
"""That bring nothing, one after the other, before the line is given up."""
_LONGEST_PAUSE = 60.0
_END_SECONDS = 30.0
"""For a sync that is interrupted to end."""


@dataclass
class Pulled:
    """What a pull has done.

    Attributes
    ----------
    runs
        Those that the site had without a receipt, once they had ended: their names, `<experiment>/<run>`.
    verified
        Those of them whose receipt the site has now.
    training, receipts
        How many were training there, and how many had a receipt before.
    bytes_of_files
        That were brought.
    """

    runs: set[str] = field(default_factory=set[str])
    verified: set[str] = field(default_factory=set[str])
    training: int = 0
    receipts: int = 0
    bytes_of_files: int = 0


@dataclass
class Pull:
    """Brings runs from one site into one folder.

    Attributes
    ----------
    site
        Where they are.
    mirror
        The folder here.
    options
        Further options of `runferry sync`.
    progress
        Takes lines for the user.
    pause
        Seconds before a cut line is tried again the first time; twice as many each further time.
    """

    site: Site
    mirror: Path
    options: Sequence[str]
    progress: Progress
    pause: float = 1.0

    def once(self) -> Pulled:
        """Pull until everything that has ended is here and synced as far as the server takes it.

        Raises
        ------
        LineError
            When the line was cut `TRIES` times one after the other and nothing had come meanwhile, or was never there.
        SiteError
            When the site refuses something.
        """
        done = Pulled()
        answered = False
        failures = 0
        while True:
            before = (done.bytes_of_files, len(done.verified))
            try:
                with connected(self.site) as line:
                    answered = True
                    self._cycle(line, done)
                return done
            except LineError as error:
                failures = failures + 1 if before == (done.bytes_of_files, len(done.verified)) else 1
                # The first time nothing is known to be right: the host, the key, the program at the site.
                if not answered or failures >= TRIES:
                    raise
                pause = min(self.pause * 2 ** (failures - 1), _LONGEST_PAUSE)
                self.progress.say(f"{error}; trying again in {pause:.0f} s")
                time.sleep(pause)

    def _cycle(self, line: Line, done: Pulled) -> None:
        take_hold(line, self.progress.say)
        listed = read_list(line)
        done.training, done.receipts = listed.training, listed.receipts
        for run, why in listed.refused.items():
            self.progress.say(f"{run}: the site does not send it: {why}")
        files = {run: listed.files[run] for run in listed.files if run}
        done.runs |= {*files, *listed.refused}
        mirror = Mirror(self.mirror)

        def arrived(size: int) -> None:
            done.bytes_of_files += size

        with results_lock(self.mirror, self.progress.say):
            whole = _fetch(mirror, line, listed.files.get("", []), files, arrived)
        for run in sorted(files.keys() - whole):
            self.progress.say(f"{run}: its files change while they are read; they come with the next pull")
        for batch in batches(sorted(whole), RUNS_PER_SYNC):
            self._sync(line, batch)
            for run in batch:
                self._send_receipt(line, run, done)
        ask(line, {"op": "bye"})

    def _sync(self, line: Line, runs: Sequence[str]) -> None:
        """Sync runs here, as long as the line holds: it keeps every other sync of them away."""
        command = [sys.executable, "-m", "runferry", "sync", *self.options]
        command += [str(self.mirror / run) for run in runs]
        # A group of its own: Ctrl-C comes to it from here.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
        try:
            while True:
                try:
                    process.wait(PING_SECONDS)
                except subprocess.TimeoutExpired:
                    ask(line, {"op": "ping"})
                else:
                    return
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    with results_lock(self.mirror, self.progress.say):
                        # What it had started would send on when nobody keeps the others away any more.
                        end_orphans(self.mirror)

    def _send_receipt(self, line: Line, run: str, done: Pulled) -> None:
        receipt = _receipt(RunFolder(self.mirror / run))
        if receipt is None:
            return
        try:
            ask(line, {"op": "receipt", "run": run}, json.dumps(receipt.to_json()).encode())
        except SiteError as error:
            self.progress.say(f"{run}: {error}")
        else:
            done.verified.add(run)


def _fetch(
    mirror: Mirror, line: Line, of_experiments: Sequence[Listed], files: dict[str, list[Listed]], arrived: Any
) -> set[str]:
    """Bring the files of runs and experiments; return the runs that are whole."""
    everything = [*of_experiments, *(file for each in files.values() for file in each)]
    missing = mirror.fetch(line, everything, arrived)
    for run, each in files.items():
        mirror.remove_other_segments(run, each)
    return {run for run, each in files.items() if missing.isdisjoint(file.path for file in each)}


def _receipt(folder: RunFolder) -> Receipt | None:
    """Return the receipt of a run where it covers what is here; None where there is none that does."""
    try:
        base_url = given_base_url(folder.read_run())
        for interim in (False, True):
            if holds(folder, base_url, interim=interim):
                return Receipt.read(folder.interim_receipt_file if interim else folder.receipt_file)
    except (RunferryError, OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None

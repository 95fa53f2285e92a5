"""Send the rows of running runs to the server while they train: live sync (`runferry sync --watch`).

A run is only reported as running, never as ended: that is for the sync of the whole run, which finds the beginning on
the server and sends the rest. What is sent again after a crash of this process goes to the same offsets, where
it replaces itself. The server is asked how many rows it has whenever this process begins with a run.

A run is sent as long as its attempt is under way, without the lock of the results folder, which a sync of others may
hold for minutes: that sync leaves out what is under way. A last request that arrives after the run's end brings it
back as running: where the receipt was written meanwhile, the end is said again; else the sync sees it and writes none.
A run that another attempt will go on with stays shown as running while the workflow is there that starts it. What is
said of a run that has ended (`crashed`) is said with the lock in hand.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runferry.errors import RunferryError, ServerError
from runferry.runs.attempt_record import AttemptRecord
from runferry.runs.continuation import is_to_continue
from runferry.runs.receipt_record import Receipt
from runferry.runs.state import SlurmQueue, is_under_way, last_attempt
from runferry.sync.lock import LockBusyError, results_lock
from runferry.sync.wandb.file_stream import BYTES_PER_REQUEST, HISTORY_FILE, SUMMARY_FILE, in_requests
from runferry.sync.wandb.live_client import BusyError, LiveServer, RequestRefusedError
from runferry.sync.wandb.live_run import Followed, LiveOptions, LiveRun
from runferry.system.processes import is_alive
from runferry.trackers.wandb.address import given_base_url
from runferry.trackers.wandb.log.rows import as_json
from runferry.trackers.wandb.login import find_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder


SAVE_BYTES = 4_000_000
"""Read since the state was written last, after which it is written again."""


LONGEST_HEARTBEAT = 120.0
"""Seconds between two requests for a run that writes nothing. W&B says `crashed` of one that it has not heard of for
5 minutes (its documentation)."""


LONGEST_BACK_OFF = 300.0
"""Seconds between two tries where the server is in trouble and does not say how long to wait."""


class Watcher:
    """Follows the runs below some folders. `stop` may be called from a signal handler."""

    def __init__(self, folders: Callable[[], Sequence[RunFolder]], options: LiveOptions, say: Callable[[str], None]):
        self._find = folders
        self._options = options
        self._say = say
        self._stopped = threading.Event()
        self._followed: dict[Path, Followed] = {}
        self._ended: dict[Path, RunFolder] = {}
        self._handed_on: set[Path] = set()
        self._servers: dict[str | None, LiveServer] = {}
        self._queue = SlurmQueue()
        self._back_off = 0.0
        self._not_before = 0.0

    def stop(self) -> None:
        """Stop after the requests that are under way."""
        self._stopped.set()

    def watch(self, beat: Callable[[], None] = lambda: None) -> None:
        """Look at the disk repeatedly until stopped; `beat` is called at each look.

        Raises
        ------
        ServerError
            When the server refuses the key.
        """
        try:
            while not self._is_over():
                begin = time.monotonic()
                beat()
                self.look()
                self._stopped.wait(max(self._options.interval - (time.monotonic() - begin), 0.2))
            if not self._stopped.is_set():
                self.look()
        finally:
            for followed in self._followed.values():
                with suppress(OSError):
                    followed.run.save()
            for server in self._servers.values():
                server.close()

    def look(self) -> None:
        """Look at the disk once and send the new rows.

        Raises
        ------
        ServerError
            When the server refuses the key.
        """
        ended = self._discover()
        if time.monotonic() < self._not_before:
            return
        try:
            self._begin()
            with ThreadPoolExecutor(self._options.parallel) as threads:
                for trouble in threads.map(self._carry, list(self._followed.values())):
                    if trouble:
                        raise trouble
        except BusyError as error:
            self._back_off = min(max(2 * self._back_off, self._options.interval, 1.0), LONGEST_BACK_OFF)
            wait = self._back_off if error.wait is None else error.wait
            self._not_before = time.monotonic() + wait
            self._say(f"{error}; trying again in {wait:.0f} s")
            return
        self._back_off = 0.0
        self._conclude(ended)

    def _is_over(self) -> bool:
        controller = self._options.controller
        # A process that has ended and that nobody waits for counts as ended, too: then its child has another parent.
        gone = controller is not None and (not is_alive(controller) or os.getppid() != controller)
        return self._stopped.is_set() or gone

    def _discover(self) -> list[Followed]:
        """Find runs that are under way; returns those that were and are not any more."""
        ended: list[Followed] = []
        for folder in self._find():
            followed = self._followed.get(folder.path)
            if followed is None and folder.path in self._handed_on and folder.trained_file.exists():
                continue
            attempt = last_attempt(folder)
            goes_on = is_under_way(attempt) or (followed is not None and self._is_to_go_on(folder))
            if goes_on and attempt and followed and self._queue.has_lost(attempt, followed.run.newest()):
                goes_on = False
            if goes_on and followed is None:
                with suppress(RunferryError, ValueError, KeyError, TypeError):
                    wandb = folder.read_run().of_wandb
                    followed = Followed(LiveRun(folder), given_base_url(wandb.base_url), wandb.project)
                    followed.entity = wandb.entity or ""
                    followed.run.restore()
                    self._followed[folder.path] = followed
            elif followed and not goes_on:
                ended.append(followed)
            if goes_on:
                self._handed_on.discard(folder.path)
            elif followed is None and attempt and folder.path not in self._handed_on:
                self._handed_on.add(folder.path)
                self._ended[folder.path] = folder
        return ended

    def _begin(self) -> None:
        """Ask what the server has of the runs that are new to this process."""
        new: dict[tuple[str | None, str, str], list[Followed]] = defaultdict(list)
        for followed in self._followed.values():
            if not followed.begun and not followed.run.problem:
                followed.read()
                run = followed.run.read.run
                if run:
                    followed.project = run.get("project") or followed.project
                    followed.entity = run.get("entity") or followed.entity
                    new[followed.base_url, followed.entity, followed.project].append(followed)
        for (base_url, named, project), members in new.items():
            server = self._server(base_url)
            names = [each.place[2] for each in members]
            try:
                entity, found = server.server.look(named, project, names)
            except ServerError as error:
                if "refused the key" in str(error):
                    raise
                raise BusyError(str(error)) from error
            for each in members:
                there = found.get(each.place[2])
                rows = there.history_lines if there else 0
                each.wandb_config = there.wandb_config if there else {}
                each.entity = entity
                if rows < each.run.read.rows - len(each.run.lines):
                    each.run.start_again()
                    each.read()
                each.run.forget_rows_before(rows)
                each.pass_over(rows)
                each.run.config_changed = True
                each.begun = True

    def _server(self, base_url: str | None) -> LiveServer:
        if base_url not in self._servers:
            # Its own pauses would hold up all others; there is one back-off for all here.
            found = find_server(base_url, deadline=0.0)
            self._servers[base_url] = LiveServer(found, self._options.parallel)
        return self._servers[base_url]

    def _carry(self, followed: Followed) -> ServerError | None:
        """Send what is new of one run; returns what the server's trouble is, if that concerns all."""
        try:
            if followed.begun and not self._stopped.is_set():
                self._send_all(followed)
        except RequestRefusedError as error:
            if error.status in {401, 403}:
                return error
            followed.run.problem = str(error)
        except ServerError as error:
            return error
        if followed.run.problem and followed.run.problem not in followed.said:
            followed.said.add(followed.run.problem)
            self._say(f"{followed.run.folder.path}: not live any more: {followed.run.problem}; sync carries the rest")
        return None

    def _send_all(self, followed: Followed) -> None:
        run = followed.run
        server = self._server(followed.base_url)
        place = followed.place
        more = True
        while more and not self._stopped.is_set():
            more = followed.read()
            # Looked at again just before it is said: who has ended is left to the sync.
            if not is_under_way(last_attempt(run.folder)) and not self._is_to_go_on(run.folder):
                return
            if run.config_changed:
                server.upsert(*place, **followed.fields())
                run.config_changed = False
            files: dict[str, Any] = {}
            requests = list(in_requests(run.lines))
            for number, lines in enumerate(requests):
                offset = run.read.rows - sum(map(len, requests[number:]))
                files = {HISTORY_FILE: {"offset": offset, "content": lines}}
                if number < len(requests) - 1:
                    server.stream(*place, files)
            summary = as_json(run.read.summary) if run.summary_changed else ""
            if summary and len(summary) <= BYTES_PER_REQUEST:
                # A larger one would have to go alone, and at each look: it is left to the sync.
                files[SUMMARY_FILE] = {"offset": 0, "content": [summary]}
            now = time.monotonic()
            if not files:
                if now - followed.spoken < followed.pause or run.problem:
                    return
                followed.pause = min(2 * followed.pause, LONGEST_HEARTBEAT)
            else:
                followed.pause = min(self._options.interval, LONGEST_HEARTBEAT)
            server.stream(*place, files)
            self._end_again(followed, place)
            followed.spoken = now
            run.lines, run.summary_changed = [], False
            with suppress(OSError):
                run.save(at_least=SAVE_BYTES)

    def _is_to_go_on(self, folder: RunFolder) -> bool:
        """Tell whether the workflow, which leaves runs that ended to its rules, starts another attempt of a run."""
        with suppress(OSError, ValueError):
            return self._options.attempts_follow and is_to_continue(folder) and not folder.receipt_file.exists()
        return False

    def _end_again(self, followed: Followed, place: tuple[str, str, str]) -> None:
        """Say how a run ended that was synced while a request was on its way, which brought it back as running."""
        folder = followed.run.folder
        if is_under_way(last_attempt(folder)) or not folder.receipt_file.exists():
            return
        with suppress(OSError, ValueError, KeyError):
            disk = Receipt.read(folder.receipt_file).disk
            finished = disk is not None and disk.state == "finished"
            self._server(followed.base_url).stream(*place, {}, exit_code=0 if finished else 1)

    def _conclude(self, ended: Sequence[Followed]) -> None:
        """Say of runs that died that they crashed, unless somebody syncs at the moment; have all of them synced."""
        for followed in ended:
            folder = followed.run.folder
            if followed.begun and (last_attempt(folder) or AttemptRecord()).outcome != "finished":
                try:
                    self._say_crashed(followed)
                except LockBusyError:
                    continue
            followed.run.save()
            del self._followed[folder.path]
            self._handed_on.add(folder.path)
            self._ended[folder.path] = folder
        folders, self._ended = list(self._ended.values()), {}
        if self._options.sync_ended:
            self._options.sync_ended(folders)

    def _say_crashed(self, followed: Followed) -> None:
        folder = followed.run.folder
        with results_lock(folder.path.resolve().parent.parent, self._say, wait=False):
            if is_under_way(last_attempt(folder)) or folder.receipt_file.exists():
                return
            # That the server takes the state from here is assumed; without it, it says the same 5 minutes after the
            # last heartbeat.
            with suppress(ServerError):
                self._server(followed.base_url).upsert(*followed.place, state="crashed")

"""Upload the runs on disk to their server, ask it what it holds, and write receipts where both agree.

Group commit: the process that gets the lock of a results folder syncs all waiting runs in one `wandb sync`; see
`runferry.sync.queue`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from runferry.errors import RunferryError, ServerError
from runferry.runs.continuation import settle_lost
from runferry.runs.folder import RunFolder
from runferry.runs.receipt import holds, promote
from runferry.sync.carriers import find_carrier
from runferry.sync.lock import results_lock
from runferry.sync.outcome import Limits, Outcome
from runferry.sync.queue import RecentFailure, SyncQueue
from runferry.sync.upload_process import end_orphans
from runferry.sync.wandb.gone_for_good import HOW_TO_ACCEPT, may_be_accepted
from runferry.system.progress import Progress
from runferry.system.values import batches
from runferry.trackers.api_keys import has_lost_holder
from runferry.trackers.registry import given_base_url, logs_to_wandb, tracker_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from runferry.sync.lock import Hold
    from runferry.sync.queue import Answer

__all__ = ["Limits", "Outcome", "sync"]

ORPHAN_SECONDS = 3.0
"""For the server to be done with what a `wandb sync` had sent whose runferry was killed."""
RUNS_PER_BATCH = 250
"""In one `wandb sync`: its start (0.7 s of CPU) is little beside them, and no receipt waits for a thousand runs."""


class _Speaker(Progress):
    """Says lines through a function; for callers that have no more."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def say(self, line: str) -> None:
        self._say(line)


def sync(  # noqa: PLR0913 - each is a keyword with a default
    folders: Sequence[RunFolder],
    limits: Limits | None = None,
    *,
    log: IO[str] | None = None,
    say: Callable[[str], None] = lambda _line: None,
    progress: Progress | None = None,
    with_trained: bool = False,
) -> list[Outcome]:
    """Sync runs and verify them; nothing that the server has already is sent again.

    Parameters
    ----------
    folders
        The runs.
    limits
        How long things may take.
    log
        Where wandb's own output goes.
    say, progress
        Takes lines for the user; or a `Progress`, for more than lines.
    with_trained
        Sync the other runs of the results folders too that are trained and have no receipt: where each of them is about
        to be asked for by a rule of its own, one `wandb sync` does for all.

    Returns
    -------
    list of Outcome
        One for each folder, in their order. A run without a `problem` has a receipt.

    Raises
    ------
    ServerError
        When a server cannot be asked before anything is sent; no run has changed then.
    """
    outcomes = [Outcome(folder) for folder in folders]
    by_results: dict[Path, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_results[outcome.folder.path.resolve().parent.parent].append(outcome)
    limits = limits or Limits()
    for results, members in by_results.items():
        _Group(results, limits, log, progress or _Speaker(say), with_trained).sync(members)
    return outcomes


@dataclass(frozen=True)
class _Group:
    """The runs of one results folder that this process wants synced."""

    results: Path
    limits: Limits
    log: IO[str] | None
    progress: Progress
    with_trained: bool

    def sync(self, outcomes: Sequence[Outcome]) -> None:
        queue = SyncQueue(self.results)
        with ExitStack() as stack:
            request = queue.ask(outcome.folder for outcome in outcomes)
            # Whatever happens, nobody shall work for one who has left.
            stack.callback(queue.withdraw, request)
            hold = stack.enter_context(results_lock(self.results, self.progress.say))
            if answer := queue.take_answer(request):
                self._accept(answer, outcomes, queue)
            else:
                self._lead(queue, request, outcomes, hold)

    def _accept(self, answer: Answer, outcomes: Iterable[Outcome], queue: SyncQueue) -> None:
        for outcome in outcomes:
            outcome.problem = answer[queue.key(outcome.folder)]
            self.progress.verified(outcome.folder.path.name, outcome.problem)

    def _lead(self, queue: SyncQueue, own_request: str, own: Sequence[Outcome], hold: Hold) -> None:
        """Sync for everybody who waits."""
        queue.tidy()
        requests = queue.waiting()
        # Nobody would come for that answer.
        requests.pop(own_request, None)
        wanted = {queue.key(outcome.folder): outcome for outcome in own}
        for folder in (folder for runs in requests.values() for folder in runs):
            wanted.setdefault(queue.key(folder), Outcome(folder))
        asked_for = len(wanted)
        if self.with_trained:
            for folder in self._trained():
                wanted.setdefault(queue.key(folder), Outcome(folder, asked=False))
        if len(wanted) > asked_for:
            self.progress.say(_also(len(wanted) - asked_for))
        error: RunferryError | None = None
        try:
            self._carry(list(wanted.values()), hold)
        except RunferryError as caught:
            error = caught
            for outcome in wanted.values():
                outcome.problem = outcome.problem or str(caught)
        if not self.limits.accept_missing:
            _advise(wanted.values())
        queue.answer(requests, {key: outcome.problem for key, outcome in wanted.items()})
        for outcome in own:
            self.progress.verified(outcome.folder.path.name, outcome.problem, sent=outcome.sent)
        if error:
            raise error

    def _trained(self) -> Iterable[RunFolder]:
        for file in sorted(self.results.glob("*/*/trained.json")):
            folder = RunFolder(file.parent)
            if folder.run_file.exists() and not folder.receipt_file.exists():
                yield folder

    def _carry(self, outcomes: Sequence[Outcome], hold: Hold) -> None:
        if end_orphans(self.results):
            time.sleep(ORPHAN_SECONDS)
        # A run whose job was killed with everything in it still says that it trains; Slurm knows better.
        settle_lost(outcome.folder for outcome in outcomes if not outcome.folder.trained_file.exists())
        for (tracker, base_url), members in _unsettled(outcomes).items():
            trouble = RecentFailure(self.results)
            if self.with_trained and (line := trouble.recent(base_url)):
                # Another rule has just found out; a thousand rules need not.
                raise ServerError(line)
            try:
                line = self._carry_to(tracker, base_url, members, hold)
            except ServerError as error:
                # A rule whose Snakemake was killed has no key any more, and the next Snakemake's rules have one.
                if not has_lost_holder():
                    trouble.remember(base_url, str(error))
                raise
            if line:
                trouble.remember(base_url, line)
            else:
                trouble.forget()
        if self.limits.sweeps:
            # Only here: few want it.
            from runferry.sync.wandb.sweeps import attach_runs
            from runferry.trackers.wandb.login import find_server

            experiments = sorted({outcome.folder.path.parent for outcome in outcomes if _may_have_sweep(outcome)})
            attach_runs(experiments, lambda url: find_server(url, deadline=self.limits.deadline), self.progress.say)

    def _carry_to(self, tracker: str, base_url: str | None, outcomes: Sequence[Outcome], hold: Hold) -> str | None:
        """Carry runs to one server; returns what was wrong with it after something was sent, if anything was."""
        carrier = find_carrier(
            tracker, base_url, limits=self.limits, results=self.results, log=self.log, progress=self.progress
        )
        line: str | None = None
        for batch in batches(outcomes, RUNS_PER_BATCH):
            if line:
                # What the first of them found out, the others need not.
                for outcome in batch:
                    outcome.problem = line
                continue
            hold.check()
            line = carrier.carry(batch)
        return line


def _advise(outcomes: Iterable[Outcome]) -> None:
    """Name the setting by which a run gets a receipt though some of it is gone for good: syncing again cannot."""
    for outcome in outcomes:
        if outcome.problem and may_be_accepted(outcome.problem):
            outcome.problem += f"; {HOW_TO_ACCEPT}"


def _may_have_sweep(outcome: Outcome) -> bool:
    try:
        return logs_to_wandb(outcome.folder.read_run())
    except (RunferryError, ValueError):
        # What is wrong with its record is its own problem, and not its experiment's.
        return True


def _unsettled(outcomes: Iterable[Outcome]) -> dict[tuple[str, str | None], list[Outcome]]:
    """Sort runs by their tracker and server; leave out those whose receipt speaks of what is on disk."""
    by_server: dict[tuple[str, str | None], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        try:
            run = outcome.folder.read_run()
            tracker, base_url = tracker_name(run.tracker), given_base_url(run)
        except RunferryError as error:
            outcome.problem = str(error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            outcome.problem = f"{outcome.folder.run_file}: cannot be used ({error})"
        else:
            if outcome.asked:
                promote(outcome.folder, base_url)
            if not holds(outcome.folder, base_url, interim=not outcome.asked):
                by_server[tracker, base_url].append(outcome)
    return by_server


def _also(count: int) -> str:
    if count == 1:
        return "1 other run is trained and has no receipt: syncing it too"
    return f"{count:,} other runs are trained and have no receipt: syncing them too"

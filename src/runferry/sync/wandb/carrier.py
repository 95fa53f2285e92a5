"""Upload the missing parts of runs to a W&B server and verify them."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from runferry.errors import ServerError
from runferry.sync.outcome import ALL
from runferry.sync.wandb import upload
from runferry.sync.wandb.comparison import segment_differences
from runferry.sync.wandb.file_stream import complete_summary, fill, send_console
from runferry.sync.wandb.job import jobs_of, lacks_values, only_summary, without_shared_ids
from runferry.sync.wandb.partial_log import folders_to_send
from runferry.sync.wandb.questions import Questions
from runferry.sync.wandb.receipt import VerifiedRun, write_receipt
from runferry.sync.wandb.rounds import begin_rounds, goes_on, is_without_its_beginning, next_batch
from runferry.sync.wandb.row_comparison import find_difference, find_sampled_difference, is_long
from runferry.system.progress import Amount
from runferry.trackers.wandb.folders import remove_debug_logs, share_equal_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from runferry.sync.outcome import Limits, Outcome
    from runferry.sync.wandb.job import Job
    from runferry.system.progress import Progress
    from runferry.trackers.wandb.server import Server

ANOTHER_TRAINING = (
    "the W&B run of this id has rows of another training: found none of its first rows logged when these were, "
    "expected the same ones; give the run an id of its own: runferry rename"
)
SOMEBODY_ELSE = (
    "where nobody else writes this run, rows arrived twice; runferry rename gives it an id of its own, to which the "
    "next sync sends it whole"
)
READERS = 8
"""Runs whose rows are read back at once: with 100 ms of latency 100 small runs take 1.3 s, and pages of rows fit."""
BYTES_PER_SECOND = 1e6
"""What a slow network carries at least: for each megabyte a `wandb sync` gets a second more."""


@dataclass(frozen=True)
class WandbCarrier:
    """Uploads the missing parts of runs to a W&B server and verifies them (see `runferry.sync.carriers.Carrier`).

    `results` is the folder whose lock is held.
    """

    server: Server
    limits: Limits
    results: Path
    log: IO[str] | None
    progress: Progress

    def carry(self, outcomes: Sequence[Outcome]) -> str | None:
        """Upload and verify runs; see `runferry.sync.carriers.Carrier.carry`.

        The way of a run is drawn in docs/how-it-works.md: look, send, settle, compare, receipt.
        """
        jobs = without_shared_ids(jobs_of(outcomes))
        questions = Questions(self.server, self.limits)
        questions.look(jobs)
        trouble: str | None = None
        try:
            begun = [job for job in jobs if job.there and job.differences]
            questions.settle(begun)
            begin_rounds(jobs)
            self._mend([job for job in begun if not job.in_rounds and job.differences])
            sent = [job for job in jobs if job.differences]
            trouble = self._send_all(jobs, questions)
            questions.wait_for_counts(sent, self.limits.patience if trouble is None else 0.0)
            self._complete_summaries(jobs, questions)
            self._read_back(jobs)
            if trouble is None:
                self._mend_again([job for job in jobs if job.there and job.differences], questions)
        except ServerError as error:
            # Something was sent perhaps: what cannot be asked is not verified.
            trouble = trouble or str(error)
            for job in jobs:
                if job.differences or not job.rows_read:
                    job.there = None
                    job.problem = job.problem or trouble
        by_run: dict[int, list[Job]] = {}
        for job in jobs:
            by_run.setdefault(id(job.outcome), []).append(job)
        for members in by_run.values():
            self._conclude(members)
        return trouble

    def verify(self, jobs: Sequence[Job]) -> None:
        """Compare the server with the disk now, row by row, and send nothing; see `Job.differences`.

        Raises
        ------
        ServerError
            When the server cannot be asked.
        """
        Questions(self.server, self.limits).look(jobs)
        for job in jobs:
            if job.there and not job.differences and (found := find_difference(job.disk, self.server, job.place)):
                job.differences = [found.line]

    def _send_all(self, jobs: Sequence[Job], questions: Questions) -> str | None:
        """Send what is missing, in as many rounds as it takes; returns what went wrong."""
        while batch := next_batch(jobs):
            trouble = self._send(batch)
            if trouble:
                return trouble
            for job in batch:
                job.rounds += job.in_rounds
                job.parts_sent = not job.in_rounds
            # Each round is built on what the server says of the one before.
            late = questions.wait_for_round([job for job in batch if goes_on(job)])
            for job in late:
                job.in_rounds = False
            self._mend(late)
        for job in jobs:
            if job.console_apart and not job.problem:
                send_console(job.disk, self.server, job.place)
        return None

    def _mend(self, jobs: Iterable[Job]) -> None:
        """Send rows that the server lacks or holds differently to their positions, which `wandb sync` cannot."""
        for job in (job for job in jobs if job.there):
            found = find_difference(job.disk, self.server, job.place)
            job.rows_read = found is None
            if found and found.foreign:
                job.refused, job.problem = True, ANOTHER_TRAINING
            elif found and not found.more and not job.excess and not is_without_its_beginning(job):
                if found.number < job.lines_there:
                    name = job.outcome.folder.path.name
                    self.progress.say(f"{name}: rows differ from row {found.number} on; sending them")
                try:
                    fill(job.disk, self.server, job.place, found.number)
                except ServerError as error:
                    # A server that is down says so at the next question; what it refuses of one run is that run's.
                    job.problem = str(error)
                    continue
                job.first_missing = found.number
                job.outcome.sent += [segment.name for segment in job.disk.segments]

    def _mend_again(self, jobs: Sequence[Job], questions: Questions) -> None:
        """Send once more what a server has lost or altered of the rows."""
        wrong = [job for job in jobs if not job.problem and not job.rows_read]
        self._mend(wrong)
        filled = [job for job in wrong if job.first_missing is not None and not job.rows_read]
        if filled:
            questions.wait_for_counts(filled, self.limits.patience)
            self._complete_summaries(filled, questions)
            self._read_back(filled)

    def _read_back(self, jobs: Iterable[Job]) -> None:
        """Compare rows where all else agrees; of a long run that was sent to an empty place a sample."""
        # A question for each run: one after the other they would wait for the network most of the time.
        with ThreadPoolExecutor(min(self.limits.parallel, READERS)) as threads:
            list(threads.map(self._read_one_back, jobs))

    def _read_one_back(self, job: Job) -> None:
        if job.differences or not job.there or job.rows_read:
            return
        # One of which something was there before, or sent again, may have a fault anywhere.
        whole = self.limits.read_back == ALL or not job.in_rounds or job.first_missing is not None
        sampled = not whole and is_long(job.disk)
        find = find_sampled_difference if sampled else find_difference
        if found := find(job.disk, self.server, job.place):
            job.differences = [found.line]
        job.rows_read = not found and not sampled
        job.rows_sampled = not found and sampled

    def _send(self, jobs: Sequence[Job]) -> str | None:
        """Give what is missing to one `wandb sync`; returns what went wrong."""
        paths: dict[Path, Job] = {}
        for job in jobs:
            job.outcome.sent += [segment.name for segment in job.to_send]
            try:
                paths |= dict.fromkeys(folders_to_send(job), job)
            except OSError as error:
                job.problem = f"{error.filename}: {error.strerror}"
        total = sum((job.amount for job in jobs), Amount())
        watch = _Watch(self.progress, paths, total)
        segments = f"{len(jobs)} run{_s(jobs)} ({len(paths)} segment{_s(paths)}, {total.records:,} records)"
        self.progress.say(f"sending {segments} to {self.server.base_url}")
        deadline = self.limits.deadline + total.bytes / BYTES_PER_SECOND
        try:
            refused = upload.send(
                list(paths),
                self.server,
                upload.SyncCall(
                    self.results,
                    deadline,
                    parallel=self.limits.parallel,
                    # What is new to the server need not be asked for: that costs a request a run.
                    resume=any(job.there for job in jobs),
                    log=self.log,
                    look=watch.look,
                ),
            )
        except ServerError as error:
            for job in jobs:
                job.problem = str(error)
            return str(error)
        finally:
            self.progress.end()
        for path, status in refused.items():
            paths[path].problem = self.server.refusal(status)
        if refused and all(job.problem for job in jobs):
            # The key may write none of them: what else waits need not be tried.
            return jobs[0].problem
        return None

    def _complete_summaries(self, jobs: Iterable[Job], questions: Questions) -> None:
        # An answer from before the last segment was sent has all values, and that segment takes some away.
        done = [job for job in jobs if job.there and not job.refused and (only_summary(job) or lacks_values(job))]
        # One that only comes late needs nothing.
        questions.settle(done)
        done = [job for job in done if only_summary(job)]
        for job in done:
            if job.there:
                complete_summary(job.disk, self.server, job.place, job.there)
        questions.wait_for_counts(done, self.limits.patience, summary=True)

    def _conclude(self, jobs: Sequence[Job]) -> None:
        """Write the receipt of a run where each of its W&B runs is verified, else say what is not."""
        outcome = jobs[0].outcome
        problems = [problem for job in jobs if (problem := self._not_verified(job, name=len(jobs) > 1))]
        if not self.limits.accept_missing:
            problems += [f"not verified: {line}" for job in jobs for line in segment_differences(job.disk)]
        if problems:
            more = f"; and {len(problems) - 1} more lines of its {len(jobs)} W&B runs" if len(problems) > 1 else ""
            outcome.problem = f"{problems[0]}{more}"
            return
        outcome.problem = None
        verified = [VerifiedRun(job, job.there) for job in jobs if job.there]
        try:
            write_receipt(outcome.folder, verified, self.server, asked=outcome.asked)
        except OSError as error:
            outcome.problem = f"verified, but the receipt could not be written ({error.strerror}); run the same again"
            return
        shutil.rmtree(outcome.folder.resent_folder, ignore_errors=True)
        if outcome.folder.has_finished:
            remove_debug_logs(outcome.folder)
            share_equal_files(outcome.folder)

    def _not_verified(self, job: Job, *, name: bool) -> str | None:
        """Say in one line what keeps a W&B run from being verified; None where it is."""
        if job.there is not None and not job.differences:
            return None
        for segment in job.disk.segments:
            upload.unmark(segment.folder)
        because = f" ({job.problem})" if job.problem else ""
        what = "; ".join(job.differences[:5]) or "the server could not be asked"
        more = f"; and {len(job.differences) - 5} more" if len(job.differences) > 5 else ""
        if job.excess:
            what += f"; no row can be taken away: {SOMEBODY_ELSE}"
        gone = f"; segments of it were deleted here on {before.date[:10]}" if (before := job.disk.before) else ""
        which = f"W&B run {job.disk.run_id}: " if name else ""
        return f"not verified: {which}{what}{more}{gone}{because}"


class _Watch:
    """Tells the progress how far a `wandb sync` says that it is."""

    def __init__(self, progress: Progress, paths: dict[Path, Job], total: Amount) -> None:
        self._progress = progress
        self._left = dict(paths)
        self._total = total
        self._done = Amount()

    def look(self) -> None:
        """Look for segments that have been sent since the last look."""
        for path in [path for path in self._left if upload.is_marked(path)]:
            job = self._left.pop(path)
            if job not in self._left.values():
                self._done += job.amount
        self._progress.sent(self._done, self._total)


def _s(items: Sequence[object] | dict[Path, Job]) -> str:
    return "" if len(items) == 1 else "s"

"""Upload the missing parts of runs to a W&B server and verify them."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from runferry.errors import ServerError
from runferry.sync.wandb import upload
from runferry.sync.wandb.comparison import differences, missing_rows, row_differences
from runferry.sync.wandb.file_stream import complete_summary, fill, send_console
from runferry.sync.wandb.job import (
    by_place,
    has_beginning,
    jobs_of,
    only_summary,
    promises,
    segments_to_send,
    without_shared_ids,
)
from runferry.sync.wandb.partial_log import folders_to_send
from runferry.sync.wandb.receipt import VerifiedRun, write_receipt
from runferry.sync.wandb.uploaded_files import NOR_ON_DISK
from runferry.system.progress import Amount
from runferry.trackers.wandb.folders import remove_debug_logs, share_equal_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from runferry.sync.outcome import Limits, Outcome
    from runferry.sync.wandb.job import Job
    from runferry.system.progress import Progress
    from runferry.trackers.wandb.queries import RunOnServer
    from runferry.trackers.wandb.server import Server

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
        """Upload and verify runs; see `runferry.sync.carriers.Carrier.carry`."""
        jobs = without_shared_ids(jobs_of(outcomes))
        self._look(jobs)
        for job in jobs:
            job.had_rows = job.lines_there > 0
        trouble: str | None = None
        try:
            self._fill([job for job in jobs if job.differences and 0 < job.lines_there < job.disk.history_lines])
            for job in jobs:
                job.to_send = segments_to_send(job)
            sent = [job for job in jobs if job.to_send]
            trouble = self._send(sent)
            for job in sent if trouble is None else ():
                if job.console_apart and not job.problem:
                    send_console(job.disk, self.server, job.place)
            self._wait_for_counts(sent, self.limits.patience if trouble is None else 0.0)
            self._complete_summaries(jobs)
            self._compare_rows(job for job in jobs if job.had_rows and not job.differences)
        except ServerError as error:
            # Something was sent perhaps: what cannot be asked is not verified.
            trouble = trouble or str(error)
            for job in jobs:
                if job.differences or job.had_rows or job.to_send:
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
        self._look(jobs)
        self._compare_rows(job for job in jobs if job.there and not job.differences)

    def _look(self, jobs: Sequence[Job]) -> None:
        """Ask what is there before anything is sent; for files only where nothing else is missing."""
        for (entity, project), members in by_place(jobs).items():
            found, answer = self.server.look(entity, project, [job.disk.run_id for job in members])
            for job in members:
                job.entity = found
                job.there = answer.get(job.disk.run_id)
                self._compare(job)
        self._ask([job for job in jobs if not job.differences and promises(job)])

    def _ask(self, jobs: Iterable[Job]) -> None:
        """Ask what is there now, with files and artifacts where the runs promised any."""
        for (entity, project), members in by_place(jobs).items():
            names = [job.disk.run_id for job in members]
            answer = self.server.runs(entity, project, names, with_files=any(map(promises, members)))
            for job in members:
                job.there = answer.get(job.disk.run_id)
                if job.there:
                    job.there = self._with_the_rest(job, job.there)
                self._compare(job)

    def _with_the_rest(self, job: Job, there: RunOnServer) -> RunOnServer:
        """Ask for what one answer for many runs does not hold: many files, artifacts that another run logged first."""
        if there.files is not None and not there.all_files:
            there = replace(there, all_files=True, files=self.server.files(*job.place, job.disk.run_id))
        for artifact in job.disk.artifacts:
            # A version with a content that the project has already is not made again.
            key = (artifact.name, artifact.digest)
            if artifact.incremental or key in there.artifacts:
                continue
            if artifact.digest in self.server.artifact_digests(*job.place, artifact):
                there = replace(there, artifacts=there.artifacts | {key})
        return there

    def _compare(self, job: Job) -> None:
        job.differences = differences(job.disk, job.there)
        if self.limits.accept_missing:
            job.gone = [line for line in job.differences if NOR_ON_DISK in line]
            job.differences = [line for line in job.differences if line not in job.gone]

    def _fill(self, jobs: Sequence[Job]) -> None:
        """Send rows that are missing before the last one that is there, which `wandb sync` cannot."""
        for job in jobs:
            if has_beginning(job, job.lines_there):
                continue
            first = missing_rows(job.disk, self.server, job.place)
            if first is not None:
                self.progress.say(f"{job.outcome.folder.path.name}: rows are missing from row {first} on; sending them")
                fill(job.disk, self.server, job.place, first)
                send_console(job.disk, self.server, job.place)
                job.outcome.sent += [segment.name for segment in job.disk.segments]
                self._ask([job])

    def _send(self, jobs: Sequence[Job]) -> str | None:
        """Give what is missing to one `wandb sync`; returns what went wrong."""
        if not jobs:
            return None
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
                    resume=any(job.there or len(job.disk.segments) > 1 for job in jobs),
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

    def _wait_for_counts(self, jobs: Sequence[Job], patience: float) -> None:
        end = time.monotonic() + patience
        pause = 0.2
        left = jobs
        while left:
            self._ask(left)
            left = [job for job in left if job.differences and not only_summary(job)]
            if not left or time.monotonic() + pause > end:
                return
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _complete_summaries(self, jobs: Iterable[Job]) -> None:
        done = [job for job in jobs if job.there and only_summary(job)]
        for job in done:
            if job.there:
                complete_summary(job.disk, self.server, job.place, job.there)
        if done:
            self._ask(done)

    def _compare_rows(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            job.differences = row_differences(job.disk, self.server, job.place)

    def _conclude(self, jobs: Sequence[Job]) -> None:
        """Write the receipt of a run where each of its W&B runs is verified, else say what is not."""
        outcome = jobs[0].outcome
        problems = [problem for job in jobs if (problem := self._not_verified(job, name=len(jobs) > 1))]
        if not self.limits.accept_missing:
            problems += [f"not verified: {line}" for job in jobs for line in job.disk.lost]
        if problems:
            more = f"; and {len(problems) - 1} more of its {len(jobs)} W&B runs" if len(problems) > 1 else ""
            outcome.problem = f"{problems[0]}{more}"
            return
        outcome.problem = None
        verified = [
            VerifiedRun(job.disk, job.there, job.place, (*job.gone, *job.disk.lost)) for job in jobs if job.there
        ]
        try:
            write_receipt(outcome.folder, verified, self.server, asked=outcome.asked)
        except OSError as error:
            outcome.problem = f"verified, but the receipt could not be written ({error.strerror}); run the same again"
            return
        shutil.rmtree(outcome.folder.resent_folder, ignore_errors=True)
        if outcome.folder.trained_file.exists():
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

"""Delete segments from disk after the server was asked again, row by row, whether it holds them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from runferry.errors import RunferryError
from runferry.runs import reasons
from runferry.runs.receipt import holds
from runferry.runs.receipt_record import Receipt
from runferry.runs.state import is_under_way, last_attempt
from runferry.sync.lock import results_lock
from runferry.sync.outcome import Limits, Outcome
from runferry.sync.wandb.carrier import WandbCarrier
from runferry.sync.wandb.job import jobs_of
from runferry.sync.wandb.uploaded_files import promised_files
from runferry.trackers.registry import logs_to_wandb
from runferry.trackers.wandb.address import given_base_url
from runferry.trackers.wandb.deleted import Cleaned, write_cleaned
from runferry.trackers.wandb.folders import remove_shared_by_none
from runferry.trackers.wandb.login import find_server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.runs.attempt_record import AttemptRecord
    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord
    from runferry.sync.wandb.job import Job
    from runferry.system.progress import Progress


@dataclass
class Cleaning:
    """The result of cleaning one run.

    Attributes
    ----------
    folder : RunFolder
    bytes, files : int
        Freed; with a dry run, what would be.
    kept : str or None
        Why its segments are still there.
    """

    folder: RunFolder
    bytes: int = 0
    files: int = 0
    kept: str | None = None


def clean(folders: Sequence[RunFolder], older_than: timedelta, progress: Progress, *, dry_run: bool) -> list[Cleaning]:
    """Delete the segments of runs whose receipt is older than `older_than` and verifies again now.

    The receipt stays, and says of each segment when it was deleted; so the run stays done. What they said is kept in
    `cleaned.json`, with which the server can be asked again, and behind which a later attempt goes on. A run that was
    cut short, and of which more is to come, is left alone.

    Raises
    ------
    ServerError
        When the server cannot be asked; what was deleted before had been verified.
    """
    done = [Cleaning(folder) for folder in folders]
    by_results: dict[Path, list[Cleaning]] = {}
    for each in done:
        by_results.setdefault(each.folder.path.resolve().parent.parent, []).append(each)
    for results, members in by_results.items():
        with results_lock(results, progress.say):
            for each in members:
                _clean_one(each, older_than, results, progress, dry_run=dry_run)
            if not dry_run:
                for experiment in {each.folder.path.parent for each in members}:
                    remove_shared_by_none(experiment)
    return done


def _clean_one(each: Cleaning, older_than: timedelta, results: Path, progress: Progress, *, dry_run: bool) -> None:
    folder = each.folder
    try:
        run = folder.read_run()
        if not logs_to_wandb(run):
            each.kept = "runs that log to Comet are not cleaned: the content of their files cannot be compared"
            return
        base_url = given_base_url(run.of_wandb.base_url)
        each.kept = _why_kept(folder, run, base_url, older_than)
        if each.kept:
            return
        receipt = Receipt.read(folder.receipt_file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        each.kept = f"cannot be read ({error})"
        return
    except RunferryError as error:
        each.kept = str(error)
        return
    outcome = Outcome(folder, asked=False)
    jobs = jobs_of([outcome])
    each.kept = next(filter(None, map(_why_not_whole, jobs)), None) if jobs else outcome.problem
    if each.kept:
        return
    limits = Limits()
    server = find_server(base_url, deadline=limits.deadline, say=progress.say)
    WandbCarrier(server, limits, results, None, progress).verify(jobs)
    each.kept = next((why for job in jobs if (why := _why_not_verified(job, receipt))), None)
    if each.kept:
        return
    segments = folder.segments()
    each.files, each.bytes = _size(segments)
    if not dry_run:
        _delete(jobs, receipt, segments)


def _why_not_whole(job: Job) -> str | None:
    parts = [segment.name for segment in job.disk.segments if not segment.whole]
    name = next(iter([*(path.name for path in job.disk.unread), *parts]), None)
    return f"the segment {name} was not read as a whole: what else is in it is nowhere else" if name else None


def _why_kept(folder: RunFolder, run: RunRecord, base_url: str | None, older_than: timedelta) -> str | None:
    attempt = last_attempt(folder)
    if is_under_way(attempt):
        return "still training"
    if not folder.segments():
        return "nothing on disk"
    if not (folder.trained_file.exists() or run.adopted) and (why := _why_to_be_continued(attempt)):
        return f"not trained to its end ({why}): it may be continued"
    if not folder.receipt_file.exists():
        return "no receipt; run: runferry sync"
    if not holds(folder, base_url):
        return "the receipt does not speak of what is on disk; run: runferry sync"
    age = datetime.now(UTC) - datetime.fromisoformat(Receipt.read(folder.receipt_file).verified)
    return f"verified {age.days} days ago" if age < older_than else None


def _why_to_be_continued(attempt: AttemptRecord | None) -> str | None:
    """Say why a run that is not trained is to go on; None where its last attempt failed, or all are used up."""
    reason = attempt.reason if attempt else "no attempt"
    ended = reason in reasons.ENDED or (attempt and attempt.given_up)
    return None if ended else str(reason)


def _why_not_verified(job: Job, receipt: Receipt) -> str | None:
    if problem := job.outcome.problem or job.problem:
        return problem
    # What the user has said may be missing is so still.
    left = [line for line in job.differences if line not in (receipt.missing or ())]
    return f"not verified any more: {'; '.join(left[:3])}" if left or job.there is None else None


def _size(segments: Sequence[Path]) -> tuple[int, int]:
    files = [file for segment in segments for file in segment.rglob("*") if file.is_file() and not file.is_symlink()]
    return len(files), sum(file.stat().st_size for file in files)


def _delete(jobs: Sequence[Job], receipt: Receipt, segments: Sequence[Path]) -> None:
    """Write down first what is deleted: after a kill in between, what is left is deleted the next time."""
    folder = jobs[0].outcome.folder
    now = datetime.now(UTC).isoformat(timespec="seconds")
    segments_then = tuple(replace(segment, cleaned=segment.cleaned or now) for segment in receipt.segments)
    receipt = replace(receipt, segments=segments_then)
    write_cleaned(folder, [_cleaned(job, receipt, now) for job in jobs])
    times = folder.receipt_file.stat()
    receipt.write(folder.receipt_file)
    # As old as it was: Snakemake would make a new report of runs whose rows are not on disk any more.
    os.utime(folder.receipt_file, ns=(times.st_atime_ns, times.st_mtime_ns))
    for segment in segments:
        shutil.rmtree(segment)
    shutil.rmtree(folder.resent_folder, ignore_errors=True)


def _cleaned(job: Job, receipt: Receipt, now: str) -> Cleaned:
    disk, there = job.disk, job.there
    assert there is not None
    own = {segment.name for segment in disk.segments} | {path.name for path in disk.left_out}
    own |= disk.before.names if disk.before else set()
    return Cleaned(
        date=now,
        segments=tuple(segment for segment in receipt.segments if segment.name in own),
        # As in the segments of later attempts; what it was renamed to is kept elsewhere.
        run_id=disk.written_id,
        entity=job.entity,
        project=job.project,
        history_lines=disk.history_lines,
        last_step=disk.last_step,
        state=disk.state,
        event_lines=there.event_lines,
        output_lines=there.output_lines,
        summary=disk.summary,
        config=disk.config,
        files=tuple(promised_files(disk)),
        artifacts=tuple(disk.artifacts),
    )

"""Write a run's receipt, only where the server holds what the disk holds."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runferry import __version__
from runferry.runs.code import code_of_attempts
from runferry.runs.receipt import describe_log
from runferry.runs.receipt_record import Counts, Receipt, SegmentEntry, WandbRunEntry
from runferry.runs.receipt_stamp import logs_on_disk
from runferry.sync.wandb.comparison import segment_differences
from runferry.sync.wandb.uploaded_files import promised_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.runs.folder import RunFolder
    from runferry.sync.wandb.job import Job
    from runferry.sync.wandb.local import OnDisk
    from runferry.trackers.wandb.queries import RunOnServer
    from runferry.trackers.wandb.server import Server


@dataclass(frozen=True)
class VerifiedRun:
    """One W&B run whose contents on the server and on the disk agree.

    Attributes
    ----------
    job
        What is on the disk of it, its place, and what is missing that the user has said may be.
    there
        What the server holds.
    """

    job: Job
    there: RunOnServer

    @property
    def disk(self) -> OnDisk:
        """Return what is on the disk."""
        return self.job.disk


def write_receipt(folder: RunFolder, runs: Sequence[VerifiedRun], server: Server, *, asked: bool = True) -> None:
    """Write the run's receipt: the values compared on both sides, for each of its W&B runs, and the versions.

    What stands at the top is of the first W&B run, which bears the run's id unless the script has ids of its own;
    `wandb_runs` has every one.

    Parameters
    ----------
    runs
        All W&B runs of the run, in the order of their start.
    asked
        False where the run was synced along with others: then it is the interim receipt, which `promote` makes the
        receipt when the run's own rule asks. (Snakemake removes a rule's output before it runs the rule.)

    Raises
    ------
    OSError
        When it cannot be written, as on a full disk; there is none then.
    """
    first = _entry(runs[0], server)
    file = folder.receipt_file if asked else folder.interim_receipt_file
    segments = [segment for run in runs for segment in fingerprints(run.disk)]
    receipt = Receipt(
        run=first.run,
        url=first.url,
        entity=first.entity,
        project=first.project,
        base_url=server.base_url,
        verified=datetime.now(UTC).isoformat(timespec="seconds"),
        segments=tuple(sorted(segments, key=_start_of)),
        disk=first.disk,
        server=first.server,
        rows=first.rows,
        files=sum(len(promised_files(run.disk)) for run in runs),
        artifacts=sum(len(run.disk.artifacts) for run in runs),
        missing=tuple(line for run in runs for line in (*run.job.gone, *segment_differences(run.disk))),
        unreadable={name: why for run in runs for name, why in run.disk.unreadable.items()},
        code=code_of_attempts(folder),
        wandb_runs=(first, *(_entry(run, server) for run in runs[1:])),
        wandb=importlib.metadata.version("wandb"),
        runferry=__version__,
    )
    receipt.write(file)
    if file != folder.interim_receipt_file:
        folder.interim_receipt_file.unlink(missing_ok=True)


def _entry(run: VerifiedRun, server: Server) -> WandbRunEntry:
    (entity, project), disk, there = run.job.place, run.disk, run.there
    return WandbRunEntry(
        run=disk.run_id,
        url=server.run_url(entity, project, disk.run_id),
        entity=entity,
        project=project,
        disk=Counts(disk.history_lines, disk.last_step, disk.state),
        server=Counts(there.history_lines, there.last_step, there.state),
        # "sampled": at the ends and at places between, since the server had nothing of a long run before.
        rows="sampled" if run.job.rows_sampled else "all",
        segments=(
            *(segment.name for segment in fingerprints_of_before(disk)),
            *(segment.name for segment in disk.segments),
        ),
    )


def fingerprints_of_before(disk: OnDisk) -> tuple[SegmentEntry, ...]:
    """Return what a receipt said of the segments that were deleted here since."""
    return disk.before.segments if disk.before else ()


def fingerprints(disk: OnDisk) -> list[SegmentEntry]:
    """Describe every segment, also empty ones, so that a receipt shows which bytes it covers."""
    read = [
        replace(
            describe_log(segment.name, segment.file, segment.damage),
            # What was read: where it has grown since, the stamp must not hold.
            size_bytes=segment.size_bytes,
            history_lines=segment.history_count,
            exit_code=segment.exit_code,
            wandb=segment.wandb_version,
        )
        for segment in disk.segments
    ]
    logs = {path: logs_on_disk(str(path.parent.parent)).get(path.name, "") for path in disk.left_out}
    rest = [describe_log(path.name, logs[path], why) for path, why in disk.left_out.items()]
    return sorted([*fingerprints_of_before(disk), *read, *rest], key=_start_of)


def _start_of(segment: SegmentEntry) -> str:
    return segment.name.removeprefix("offline-")

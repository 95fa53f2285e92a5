"""Choose what `wandb sync` gets of a segment: the segment itself, or a copy without the lines that the server has.

`wandb sync` (0.31) appends all that it reads to what the server has (UpsertBucket's answer says where), and it stops
at the first byte that it cannot read, and then sends none of the run's later segments either. It sends none of them
after a second exit record, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from runferry.trackers.wandb.log.console import CONSOLE_FILE, console_lines
from runferry.trackers.wandb.log.framing import TransactionLog, write_log
from runferry.trackers.wandb.log.messages import message_class, parser
from runferry.trackers.wandb.log.records import left_out_row, staged_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from runferry.sync.wandb.job import Job
    from runferry.trackers.wandb.log.segment import Segment


@dataclass
class ServerPosition:
    """The number of lines of each stream that the server already has, all from the first segments."""

    history: int = 0
    events: int = 0
    """System metrics."""
    console: bool = False
    """Whether the console is left out of what is sent, because it is sent to its places afterwards."""

    def __bool__(self) -> bool:
        """Whether something has to be left out."""
        return bool(self.history or self.events or self.console)


def folders_to_send(job: Job) -> list[Path]:
    """Return the folders to sync of a run, in order; set in the job whether its console is to be sent separately.

    Raises
    ------
    OSError
        When a copy is needed and cannot be written.
    """
    before, there = job.disk.before, ServerPosition(job.lines_there - job.disk.lines_before)
    if not job.in_rounds:
        # They have gone to their own positions.
        there.history = job.disk.history_lines - job.disk.lines_before
    if job.there:
        there.events = max(job.there.event_lines - (before.event_lines if before else 0), 0)
        lines = job.there.output_lines - (before.output_lines if before else 0)
        there.console = job.console_apart or not _appends_console(job.disk.segments, job.to_send, lines)
    job.console_apart = there.console
    folders: list[Path] = []
    for segment in job.disk.segments:
        if segment in job.to_send:
            folders.append(_folder_to_send(segment, job, there))
        elif there:
            # What of it is there is no part of a later one.
            for _ in _without(there, TransactionLog(segment.file)):
                pass
    return folders


def _appends_console(segments: Sequence[Segment], to_send: Sequence[Segment], lines: int) -> bool:
    """Tell whether what `to_send` printed comes just behind the console lines that the server has.

    It does not where an earlier sync stopped within a segment, or live sync sent the rows of a whole segment: what
    `wandb sync` appends would be a line too many or at a wrong place.
    """
    if not lines and list(to_send) == list(segments):
        return True
    before = segments[: segments.index(to_send[0])]
    return lines == sum(len(console_lines(segment.file)) for segment in before)


def _folder_to_send(segment: Segment, job: Job, there: ServerPosition) -> Path:
    """Give the folder to sync of a segment, and take off `there` what of it is in this one."""
    run_id = job.disk.run_id
    moved = any(artifact.moved for artifact in segment.artifacts)
    if not (segment.damage or segment.ended_twice or there or moved) and run_id == segment.run_id:
        return segment.folder
    copy = job.outcome.folder.resent_folder / segment.name
    records = _without(there, TransactionLog(segment.file))
    if run_id != segment.run_id:
        records = _renamed(records, run_id)
    if moved:
        records = _at_home(records, segment.folder.absolute().parent.parent)
    write_log(copy / f"run-{run_id}.wandb", records)
    _link_files(segment, copy / "files")
    if there.console:
        printed = "".join(f"{line.text}\n" for line in console_lines(segment.file))
        (copy / "files" / CONSOLE_FILE).write_text(printed)
    return copy


def _link_files(segment: Segment, files: Path) -> None:
    """Show `wandb sync` the files of a segment, but for the console, which it would write over."""
    if files.is_symlink():
        # As earlier versions of runferry had it.
        files.unlink()
    files.mkdir(exist_ok=True)
    originals = segment.folder / "files"
    for file in originals.iterdir() if originals.is_dir() else ():
        link = files / file.name
        if file.name != CONSOLE_FILE and not (link.is_symlink() or link.exists()):
            link.symlink_to(file.resolve())


def _renamed(records: Iterable[bytes], run_id: str) -> Iterator[bytes]:
    """Put another id into the records that name the run; fields that runferry does not know stay as they are."""
    parse = parser("Record")
    for payload in records:
        record = parse(payload)
        for name in ("run", "artifact"):
            if record.HasField(name):
                getattr(record, name).run_id = run_id
                payload = record.SerializeToString()  # noqa: PLW2901 - the same record
        yield payload


def _at_home(records: Iterable[bytes], run_folder: Path) -> Iterator[bytes]:
    """Name the staged files of artifacts where they lie now; fields that runferry does not know stay as they are."""
    parse = parser("Record")
    for payload in records:
        record = parse(payload)
        if record.HasField("artifact"):
            for entry in record.artifact.manifest.contents:
                if entry.local_path:
                    entry.local_path = staged_at(entry.local_path, run_folder)
            payload = record.SerializeToString()  # noqa: PLW2901 - the same record
        yield payload


def _without(there: ServerPosition, records: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out the first lines of each stream, further exits, and the console where it is sent otherwise."""
    ended = False
    parse = parser("Streamed")
    for payload in records:
        try:
            record = parse(payload)
        except DecodeError:
            continue
        if left_out_row(payload):
            # wandb does not send it, and the server has not counted it.
            continue
        if record.HasField("exit"):
            if ended:
                continue
            ended = True
        if there.history and record.HasField("history"):
            there.history -= 1
        elif there.events and record.HasField("stats"):
            there.events -= 1
        elif not (there.console and record.HasField("output_raw")):
            yield payload
            if there.console and record.HasField("run"):
                # The console as a file: without lines wandb neither writes nor sends one.
                files = message_class("FilesRecord")(files=[{"path": CONSOLE_FILE}])
                yield message_class("Record")(files=files).SerializeToString()

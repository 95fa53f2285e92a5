"""Describe the attempts of an experiment's runs: times, endings, and resources requested and used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runferry.report.model import NOTHING, AttemptReport, ending
from runferry.runs.ending import UNDER_WAY
from runferry.runs.job_usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.report.model import RunReport
    from runferry.runs.attempt_record import AttemptRecord


_CLOCKS_APART = 120.0
"""Seconds by which the clocks of a node and of Slurm may differ."""


def report_attempt(number: int, record: AttemptRecord, built: datetime) -> AttemptReport:
    """Return the report of an attempt from its record."""
    outcome = record.outcome or "unknown"
    ended = outcome not in UNDER_WAY
    return AttemptReport(
        number=number,
        start=moment(record.start),
        end=moment(record.end) if ended else built,
        outcome=outcome,
        why=outcome if not ended else _why(outcome, record),
        host=record.host or "",
        job=record.job or "",
        cpu_seconds=record.used.cpu_seconds if record.used else None,
        peak_memory=record.used.peak_memory if record.used else None,
    )


def _why(outcome: str, record: AttemptRecord) -> str:
    if outcome == "finished":
        return outcome
    reason, how = record.reason or "", ending(record)
    if reason in {"failed", "killed", ""}:
        return how or outcome
    return reason if not how or how == "exit code 0" else f"{reason} ({how})"


def moment(text: Any) -> datetime | None:
    """Parse a time in ISO 8601; None for anything else."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def add_usage(runs: Sequence[RunReport], experiment_folder: Path) -> None:
    """Add Slurm's accounting of their jobs to the attempts; nothing where there is no Slurm.

    A job counts only if the attempt began while it ran: on another cluster its number is another job's.
    """
    attempts = [attempt for run in runs for attempt in run.attempts if attempt.job]
    usage = usage_of({attempt.job for attempt in attempts if not attempt.under_way}, experiment_folder / "usage.json")
    users: dict[str, set[str]] = {}
    for run in runs:
        for attempt in run.attempts:
            users.setdefault(attempt.job, set()).add(run.id)
    for attempt in attempts:
        found = usage.get(attempt.job)
        attempt.shared = len(users[attempt.job]) > 1
        if found and attempt.start:
            begun = attempt.start.timestamp()
            if found.start - _CLOCKS_APART <= begun <= found.end + _CLOCKS_APART:
                attempt.usage = found


def duration(seconds: float | None) -> str:
    """Format a duration in seconds for a user."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if not minutes and not hours:
        return f"{rest} s"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def size(count: float | None) -> str:
    """Format a number of bytes for a user."""
    if count is None:
        return NOTHING
    for unit, power in (("GiB", 30), ("MiB", 20)):
        if count >= 2**power:
            return f"{count / 2**power:.{1 if count < 100 * 2**power else 0}f} {unit}"
    return f"{count / 2**10:.0f} KiB"

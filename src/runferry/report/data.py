"""Read the runs of an experiment from their folders."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runferry.config.search.history import read_history
from runferry.errors import ConfigError, SegmentError
from runferry.report.attempts import add_usage, moment, report_attempt
from runferry.report.goals import read_goals
from runferry.report.measurements import Measuring
from runferry.report.media import without_media
from runferry.report.model import Curve, ExperimentReport, RunReport, State, ending
from runferry.report.sampling import Curves, is_counter, metric_order
from runferry.runs.attempt_record import AttemptRecord
from runferry.runs.folder import RunFolder, listed_names, wandb_run_of
from runferry.runs.receipt_record import Receipt
from runferry.runs.run_record import RunRecord
from runferry.runs.state import is_under_way
from runferry.system.values import is_mapping, is_number
from runferry.trackers.wandb.log.segment import Segment, read_segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runferry.system.records import Kind


POINTS_PER_CURVE = 500
"""At most so many points of a run's metric are drawn: more than a chart has pixels for."""


POINTS_PER_METRIC = 50_000
"""At most so many points of all runs together, as long as each run keeps 50: a browser draws these at
once."""


POINTS_IN_ALL = 1_000_000
"""At most so many points of all metrics together, as long as each curve keeps 20: a page of about 15 MB."""


def read_experiment(experiment_folder: Path, tell: Callable[[int, int], None] | None = None) -> ExperimentReport:
    """Read all runs of the experiment in `results/<experiment>`, with curves thin enough to be drawn.

    A run that is partly missing or unreadable is included with what can be read, and a note. `tell` is given how
    many runs are read, and of how many, after each of them.

    Raises
    ------
    ConfigError
        When there is no such folder or no run in it.
    """
    ids, listed = _run_ids(experiment_folder)
    built = datetime.now(UTC)
    most = max(min(POINTS_PER_CURVE, POINTS_PER_METRIC // len(ids)), 50)
    runs: list[RunReport] = []
    for done, name in enumerate(ids, 1):
        run, *within = _read_run(RunFolder(experiment_folder / name), built, most)
        run.in_sweep = not listed or run.id in listed
        runs += [run, *within]
        if tell is not None:
            tell(done, len(ids))
    own = [run for run in runs if not run.within]
    add_usage(own, experiment_folder)
    _thin_all(runs)
    curves: dict[str, list[Curve]] = {}
    for run in runs:
        for metric, curve in run.curves.items():
            curves.setdefault(metric, []).append(curve)
    finals = sorted({*curves, *(metric for run in runs for metric in run.final)}, key=metric_order)
    counters = {metric for metric in finals if is_counter(metric, curves.get(metric, []))}
    goals = read_goals(experiment_folder, [metric for metric in finals if metric not in counters])
    places = {goal.metric: place for place, goal in enumerate(goals)}
    metrics = sorted(
        curves, key=lambda metric: (metric in counters, places.get(metric, len(goals)), metric_order(metric))
    )
    differing, shared = _compare(own)
    return ExperimentReport(
        experiment_folder.resolve().name,
        experiment_folder.resolve(),
        built,
        runs,
        metrics,
        finals,
        differing,
        shared,
        thinned=any(curve.logged > len(curve.steps) for run in runs for curve in run.curves.values()),
        counters=counters,
        goals=goals,
        search=read_history(experiment_folder),
    )


def _thin_all(runs: list[RunReport]) -> None:
    """Thin all curves further where together they have more points than a page can hold."""
    count = sum(len(run.curves) for run in runs)
    most = max(POINTS_IN_ALL // max(count, 1), 20)
    for run in runs:
        run.curves = {metric: curve.thinned(most) for metric, curve in run.curves.items()}


def _run_ids(experiment_folder: Path) -> tuple[list[str], set[str]]:
    """List the ids of all runs, those of the sweep first, and return which ones the sweep has."""
    if not experiment_folder.is_dir():
        message = f"{experiment_folder}: found no such folder, expected an experiment's, as in results/<experiment>"
        raise ConfigError(message)
    folders = {
        folder.name
        for folder in experiment_folder.iterdir()
        if any((folder / name).exists() for name in ("run.json", "wandb", "attempts"))
    }
    listed = list(listed_names(experiment_folder))
    if not folders and not listed:
        message = f"{experiment_folder}: found no run in it, expected an experiment's, as in results/<experiment>"
        raise ConfigError(message)
    return [*listed, *sorted(folders - set(listed))], set(listed)


def _read_run(folder: RunFolder, built: datetime, most: int) -> list[RunReport]:
    """Read a run, and after it the further W&B runs that its command made."""
    run = RunReport(id=folder.path.name, name="")
    if not folder.path.exists():
        run.name = listed_names(folder.path.parent).get(run.id, run.id)
        run.notes.append("has no folder: it was deleted, and is trained again at the next start")
        return [run]
    record = _read(RunRecord, folder.run_file, run.notes) or RunRecord("")
    run.name = record.name
    run.parameters = _flat(record.parameters)
    run.gpus = record.gpus * record.nodes
    if record.wandb is not None:
        run.project, run.entity = record.wandb.project, record.wandb.entity or ""
    elif record.comet is not None:
        run.project, run.entity = record.comet.project, record.comet.workspace or ""
        run.notes.append("logs to Comet, whose archives are not read here: no curves and no final values")
    names = list(dict.fromkeys(wandb_run_of(path.name) for path in folder.segments()))
    shown = record.id if record.id in names else next(iter(names), "")
    segments = _read_segments(folder, run, most, shown)
    run.name = run.name or run.id
    within: list[RunReport] = []
    others: list[Segment] = []
    for name in names:
        if name != shown:
            part = RunReport(name, "", dict(run.parameters), within=run.id, project=run.project, entity=run.entity)
            read = _read_segments(folder, part, most, name)
            part.name = part.name or name
            if read:
                part.state, part.ending = _state_of_segment(read[-1])
                part.seconds = sum(float(segment.summary.get("_runtime", 0)) for segment in read)
            run.notes += part.notes
            part.notes = []
            others += read
            within.append(part)
    _read_attempts(folder, run, built, segments)
    if run.state != "running":
        # While it runs, the end of the file is always unfinished.
        run.notes += [f"{segment.name}: {segment.damage}" for segment in [*segments, *others] if segment.damage]
    _read_receipt(folder, run, within, [*segments, *others])
    return [run, *within]


def _read_segments(folder: RunFolder, run: RunReport, most: int, wandb_run: str) -> list[Segment]:
    """Read the segments of one W&B run."""
    segments: list[Segment] = []
    curves = Curves()
    summary: dict[str, Any] = {}
    for path in folder.segments(wandb_run):
        try:
            measuring = Measuring()
            segment = read_segment(path, measuring.add)
            if segment.empty:
                continue
            measured = measuring.measurements()
        except SegmentError as error:
            run.notes.append(str(error))
            continue
        curves.add_segment(measured)
        run.media |= {name: (media, segment.folder / "files") for name, media in measured.media.items()}
        segments.append(segment)
        summary |= segment.summary
        run.config |= _flat(segment.config)
        run.name = run.name or segment.display_name
        run.project, run.entity = run.project or segment.project, run.entity or segment.entity
    run.config = {name: value for name, value in run.config.items() if name not in run.parameters}
    run.curves, run.clock, run.system = curves.thinned(most), curves.clock(), curves.system(most)
    run.final = {metric: curve.last for metric, curve in run.curves.items()}
    numbers = _flat(without_media(summary))
    # A summary that was put together from the rows has the parts of media by their joined names.
    parts = tuple(f"{name}." for name in run.media)
    run.final |= {
        name: float(value)
        for name, value in numbers.items()
        if is_number(value) and name[:1] != "_" and not name.startswith(parts)
    }
    return segments


def _read_attempts(folder: RunFolder, run: RunReport, built: datetime, segments: list[Segment]) -> None:
    numbers = [int(file.stem) for file in folder.attempts_folder.glob("*.json") if file.stem.isdigit()]
    attempts = [
        _read(AttemptRecord, folder.attempts_folder / f"{number}.json", run.notes) or AttemptRecord()
        for number in sorted(numbers)
    ]
    run.attempts = [
        report_attempt(number, record, built) for number, record in zip(sorted(numbers), attempts, strict=True)
    ]
    seconds = [_seconds(attempt, built) for attempt in attempts]
    if any(duration is not None for duration in seconds):
        run.seconds = sum(duration or 0 for duration in seconds)
    last = attempts[-1] if attempts else AttemptRecord()
    if last.outcome == "finished":
        run.state = "finished"
    elif is_under_way(last):
        run.state = "running"
    elif attempts:
        run.state = "failed"
        run.ending = ending(last)
        run.message = last.message or ""
    elif segments:
        # Trained without the launcher.
        run.state, run.ending = _state_of_segment(segments[-1])
        run.seconds = sum(float(segment.summary.get("_runtime", 0)) for segment in segments)
    if run.state != "running":
        run.notes += [last.message] if last.message else []


def _state_of_segment(segment: Segment) -> tuple[State, str]:
    if segment.exit_code is None:
        return "running", "or killed: no exit record"
    return ("failed", f"exit code {segment.exit_code}") if segment.exit_code else ("finished", "")


def _seconds(attempt: AttemptRecord, built: datetime) -> float | None:
    if attempt.seconds is not None:
        return attempt.seconds
    start = moment(attempt.start)
    if attempt.outcome == "running" and start is not None:
        return max((built - start).total_seconds(), 0.0)
    return None


def _read_receipt(folder: RunFolder, run: RunReport, within: list[RunReport], segments: list[Segment]) -> None:
    receipt = _read(Receipt, folder.receipt_file, run.notes) or Receipt()
    run.verified = moment(receipt.verified)
    if run.verified is not None:
        known = {segment.name for segment in receipt.segments}
        run.receipt_is_old = any(segment.name not in known for segment in segments)
    run.url = _address(receipt.url)
    urls = {one.run: one.url for one in receipt.each_wandb_run}
    for part in within:
        part.url, part.verified, part.receipt_is_old = _address(urls.get(part.id)), run.verified, run.receipt_is_old


def _address(url: Any) -> str | None:
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else None


def _compare(runs: list[RunReport]) -> tuple[list[str], dict[str, Any]]:
    """Divide what the runs were given into the names of what differs, and what they share with its values."""
    differing: list[str] = []
    shared: dict[str, Any] = {}
    groups = [
        [run.parameters for run in runs],
        # What the command records is not known of a run that has not started.
        [run.config for run in runs if run.config],
    ]
    for given in groups:
        for name in dict.fromkeys(name for values in given for name in values):
            texts = {json.dumps(values[name], sort_keys=True) if name in values else None for values in given}
            if len(texts) > 1:
                differing.append(name)
            else:
                shared[name] = given[0][name]
    return differing, shared


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested mappings with dots, as W&B does."""
    flat: dict[str, Any] = {}
    if is_mapping(value):
        for name, inner in value.items():
            key = f"{prefix}{name}"
            flat |= _flat(inner, f"{key}.") if is_mapping(inner) and inner else {key: inner}
    return flat


def _read(kind: type[Kind], file: Path, notes: list[str]) -> Kind | None:
    """Read a record that may be missing; what is wrong with it becomes a note."""
    try:
        return kind.read(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        notes.append(f"{file.name}: cannot be read: {error}")
        return None

"""Begin a search, and ask its engine for the point of a place when the place's job is about to be submitted."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config.place_record import PlaceRecord
from runferry.config.run import run_of_sweep, write_changed, write_table
from runferry.config.search.engine import ask_engine
from runferry.config.search.results import metric_names
from runferry.config.search.search import check_engine
from runferry.config.search.state import (
    DEFINITION,
    FOLDER,
    Asked,
    Forgotten,
    SearchRecord,
    append_events,
    events_that_hold,
    key_of,
    points_file,
    points_of,
    read_events,
    read_search,
    repetitions,
)
from runferry.config.sweep import definition as sweep_definition
from runferry.errors import ConfigError
from runferry.runs.folder import RunFolder
from runferry.system.locks import turn
from runferry.workflow.search_results import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runferry.config.experiment import Experiment
    from runferry.config.run import RunDefinition
    from runferry.config.search.state import Event, Point
    from runferry.config.sweep.definition import Sweep

AGAIN_SECONDS = 15.0
"""Until an engine that wants results of other runs first is asked again."""
_RUNS_WITHOUT_METRIC = 3
"""Finished runs without a value of the metric, after which no more are trained."""


def begin(experiment: Experiment, folder: Path, say: Callable[[str], None]) -> None:
    """Check a search with its engine and write `search.json`, with which its points are asked for.

    Parameters
    ----------
    folder
        `results/<experiment>`.
    say
        Takes a line for the user.

    Raises
    ------
    ConfigError
        When the engine or a source file fails, or the search space names no parameter.
    PackingError
        When W&B's own engine cannot be installed.
    """
    search, sweep = experiment.search, experiment.sweep
    if search is None or sweep is None:
        raise AssertionError
    engine = search.engine
    before = [event.engine for event in read_events(points_file(folder)) if isinstance(event, Asked)]
    if before and not sweep.scheduler:
        # Nobody named one: what is installed meanwhile does not change a search that goes on.
        engine = before[0]
        check_engine(engine, sweep.where)
    begun = SearchRecord(
        experiment.name,
        sweep.where,
        sweep.definition,
        engine,
        sweep.source,
        search.seed,
        search.count,
        search.parallel,
        experiment.shared_record.to_json(),
    )
    found = ask_engine(begun, _python(engine, say), do="check")
    if not found["parameters"]:
        message = f"{sweep.where}: scheduler.search_space: found that it names no parameter, expected one to search"
        raise ConfigError(f"{message}; return a dict such as {{'lr': trial.suggest_float('lr', 1e-5, 1e-1, log=True)}}")
    say(f"{experiment.name}: {engine} chooses {search.count} points, {search.parallel} at a time")
    replace(begun, pruner=found["pruner"]).write(folder / FOLDER / DEFINITION)


def ask(place_file: Path, say: Callable[[str], None], also: Sequence[Path] = ()) -> bool:
    """Ask for the point of a place, unless it has one; tell the engine first what has ended since.

    Parameters
    ----------
    place_file
        `results/<experiment>/search/<place>.json`.
    say
        Takes a line for the user.
    also
        Other places of the search that want a point now: the engine is started once for all.

    Returns
    -------
    bool
        False where the engine wants results of runs that are under way first.

    Raises
    ------
    ConfigError, PackingError
        As `begin`; also when no run logs the metric, or the experiment is another one meanwhile.
    """
    experiment = place_file.parents[1]
    file = points_file(experiment)
    with turn(experiment / FOLDER / "lock"):
        begun = read_search(experiment)
        events = read_events(file)
        new = _told_since(experiment, begun, points_of(events), say)
        append_events(file, new)
        events += new
        points = points_of(events)
        known = {point.place for point in points}
        missing = [one for one in (place_file, *also) if int(one.stem) not in known and not one.exists()]
        if not missing:
            return True
        sweep = sweep_definition.check(begun.definition, begun.where)
        runs = [_run_of(begun, sweep, point.parameters, point.repetition) for point in points]
        _check_runs(experiment, runs, points)
        _check_metric(begun, sweep, points)
        request = {"do": "ask", "count": len(missing), "kept": str(experiment / FOLDER / "ax.json")}
        answer = ask_engine(begun, _python(begun.engine, say), events_that_hold(events), **request)
        counted = repetitions(points)
        for one, parameters in zip(missing, answer["points"], strict=False):
            repetition = counted[key_of(parameters)]
            counted[key_of(parameters)] += 1
            run = _run_of(begun, sweep, parameters, repetition)
            _write_run(experiment, begun, run)
            runs.append(run)
            append_events(file, [Asked(len(runs), int(one.stem), run.id, parameters, repetition, begun.engine)])
        write_table(experiment / "runs.tsv", runs, begun.definition)
        left = missing[len(answer["points"]) :]
        if left and answer.get("declined"):
            return place_file not in left
        for one in left:
            say(f"{experiment.name}: the search ends after {len(runs)} points: {answer['ended']}")
            PlaceRecord(reason=answer["ended"]).write(one)
    return True


def _write_run(experiment: Path, begun: SearchRecord, run: RunDefinition) -> None:
    """Write `run.json`, before the point counts: one that does has a run."""
    shared = replace(begun.shared_record, pruner={"name": begun.pruner} if begun.pruner else None)
    write_changed(RunFolder(experiment / run.id).run_file, run.record(shared).to_json())


def ask_until_answered(place_file: Path, say: Callable[[str], None]) -> None:
    """Ask for the point of a place, as `ask` does, again and again while the engine wants results first."""
    said = False
    while not ask(place_file, say):
        if not said:
            say(f"{place_file.parents[1].name}: the engine wants results of other runs first; asking again")
        said = True
        time.sleep(AGAIN_SECONDS)


def _run_of(begun: SearchRecord, sweep: Sweep, parameters: Mapping[str, Any], repetition: int) -> RunDefinition:
    identity = {"repetition": repetition} if repetition else {}
    return run_of_sweep(begun.experiment, sweep, dict(parameters), identity)


def _told_since(
    experiment: Path, begun: SearchRecord, points: Sequence[Point], say: Callable[[str], None]
) -> list[Event]:
    """Return what there is to tell: runs that have ended, and results that were deleted."""
    names = metric_names(begun.definition)
    new: list[Event] = []
    for point in points:
        folder = RunFolder(experiment / point.run)
        ended = _has_ended(experiment, point) and folder.attempts_folder.exists()
        if point.state is None and ended:
            new.append(result_of(point.number, folder, names))
        elif point.state is not None and not ended:
            place = experiment / FOLDER / f"{point.place}.json"
            again = f"; remove {place} to have it trained again" if place.exists() else ", and is trained again"
            say(f"{folder.path}: its result was deleted: the search goes on without it{again}")
            new.append(Forgotten(point.number))
    return new


def _has_ended(experiment: Path, point: Point) -> bool:
    try:
        return PlaceRecord.read(experiment / FOLDER / f"{point.place}.json").run == point.run
    except (OSError, ValueError):
        return False


def _check_runs(experiment: Path, runs: Sequence[RunDefinition], points: Sequence[Point]) -> None:
    if [run.id for run in runs] != [point.run for point in points]:
        message = f"{points_file(experiment)}: found runs of another command or definition, expected those of one sweep"
        raise ConfigError(f"{message}; give the changed experiment another name, or change it back")


def _check_metric(begun: SearchRecord, sweep: Sweep, points: Sequence[Point]) -> None:
    finished = [point for point in points if point.state == "finished"]
    for name in metric_names(sweep.definition):
        if len(finished) >= _RUNS_WITHOUT_METRIC and not any(name in (point.values or {}) for point in finished):
            message = f"{begun.where}: metric: found no value of {name} in {len(finished)} runs that finished"
            raise ConfigError(f"{message}, expected wandb.log() of it in each; name a metric that the command logs")


def _python(engine: str, say: Callable[[str], None]) -> Path:
    if engine != "wandb":
        return Path(sys.executable)
    from runferry.workflow.sweeps_package import find_python

    return find_python(say)

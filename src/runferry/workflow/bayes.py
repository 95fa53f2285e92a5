"""Choose the runs of the next round of a bayes sweep."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from runferry.config.rounds import FOLDER, ChosenRun, read_chosen, round_file, write_chosen
from runferry.errors import ConfigError
from runferry.runs.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runferry.config.experiment import Experiment


def _chosen_file(experiment: Path, number: int) -> Path:
    return experiment / FOLDER / str(number) / "chosen.json"


def choose(experiment: Experiment, folder: Path, number: int, say: Callable[[str], None]) -> None:
    """Choose the runs of a round and write them down: each one's `run.json`, the table of all, the round's `runs.json`.

    Parameters
    ----------
    folder
        `results/<experiment>`.
    number
        Of the round, from 1; those before it have ended.

    Raises
    ------
    ConfigError, PackingError
        As `runferry.workflow.sweeps_package.next_runs` does.
    """
    from runferry.workflow.sweeps_package import next_runs

    rounds, sweep = experiment.rounds, experiment.sweep
    if rounds is None or sweep is None or sweep.metric is None:
        raise AssertionError
    chosen_file = _chosen_file(folder, number)
    before = [run for earlier in range(1, number) for run in read_chosen(_chosen_file(folder, earlier))]
    # Snakemake removes the output of a rule that it runs again, for whatever reason; this file it does not know.
    chosen = read_chosen(chosen_file) if chosen_file.exists() else []
    missing = rounds.size_of(number) - len(chosen)
    if missing > 0:
        metric = sweep.metric["name"]
        known = [*before, *chosen]
        told = [_told(RunFolder(folder / run.id), run.parameters, metric) for run in known]
        counted = Counter(_key(run.parameters) for run in known)
        # What follows from the same seed and the same results is the same.
        for point in next_runs(sweep.definition, told, missing, rounds.seed * 100_003 + number, say):
            repetition = counted[_key(point)]
            counted[_key(point)] += 1
            run = experiment.run_of(point, repetition)
            chosen.append(ChosenRun(run.id, point, repetition))
    known = [*before, *chosen]
    runs = [experiment.run_of(dict(run.parameters), run.repetition) for run in known]
    if [run.id for run in runs] != [run.id for run in known]:
        message = f"{chosen_file.parent}: found runs of another command or definition, expected those of the same sweep"
        raise ConfigError(f"{message}; give the changed experiment another name, or change it back")
    experiment.write(folder / "runs.tsv", runs)
    write_chosen(chosen_file, chosen)
    write_chosen(round_file(folder, number), chosen)


def _told(folder: RunFolder, parameters: Mapping[str, Any], metric: str) -> dict[str, Any]:
    # Heavy, and not for the parse of a workflow, which imports this module.
    from runferry.workflow.best_run import read_result

    result = read_result(folder, metric)
    return {
        "name": result.run,
        "state": result.state,
        "config": {name: {"value": value} for name, value in parameters.items()},
        "history": [{metric: value} for value in result.values],
    }


def _key(parameters: Mapping[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True)

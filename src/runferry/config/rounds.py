"""The rounds of a bayes sweep: what each one's runs reached chooses the runs of the next.

`results/<experiment>/rounds/<round>/runs.json` lists the runs of a round, in the order of their places in it; it is
chosen once, so that a sweep that is stopped goes on where it was. `<place>.json` beside it says that
the run of that place has ended, however it ended. How many runs a round has is known beforehand, only which is not: so
the rules are ordinary ones, and no checkpoint of Snakemake's is needed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry import reasons
from runferry.errors import ConfigError, LaunchError
from runferry.files import read_json, write_json
from runferry.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runferry.experiment import Experiment

FOLDER = "rounds"
"""In the experiment's folder."""


@dataclass(frozen=True)
class Rounds:
    """How the runs of a bayes sweep follow one another."""

    count: int
    """Of runs, in all rounds."""
    size: int
    """Runs of a round: chosen together, trained at the same time."""
    seed: int

    @property
    def number(self) -> int:
        """Return how many rounds there are."""
        return -(-self.count // self.size)

    def size_of(self, number: int) -> int:
        """Return how many runs a round has, counted from 1: the last one has what is left."""
        return min(self.size, self.count - (number - 1) * self.size)

    def places(self, pattern: str, only: int | None = None) -> list[str]:
        """Fill `{round}` and `{place}` of `pattern` with each place of every round, or of one."""
        numbers = range(1, self.number + 1) if only is None else [only]
        return [
            pattern.replace("{round}", str(number)).replace("{place}", str(place))
            for number in numbers
            for place in range(1, self.size_of(number) + 1)
        ]


def runs_file(experiment: Path, number: int) -> Path:
    """Name the file that lists the runs of a round."""
    return experiment / FOLDER / str(number) / "runs.json"


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
        As `sweeps_package.next_runs` does.
    """
    from runferry.sweeps_package import next_runs

    rounds, sweep = experiment.rounds, experiment.sweep
    if rounds is None or sweep is None or sweep.metric is None:
        raise AssertionError
    chosen_file = _chosen_file(folder, number)
    before = [run for earlier in range(1, number) for run in read_json(_chosen_file(folder, earlier))]
    # Snakemake removes the output of a rule that it runs again, for whatever reason; this file it does not know.
    chosen: list[dict[str, Any]] = read_json(chosen_file) if chosen_file.exists() else []
    missing = rounds.size_of(number) - len(chosen)
    if missing > 0:
        metric = sweep.metric["name"]
        known = [*before, *chosen]
        told = [_told(RunFolder(folder / run["id"]), run["parameters"], metric) for run in known]
        counted = Counter(_key(run["parameters"]) for run in known)
        # What follows from the same seed and the same results is the same.
        for point in next_runs(sweep.definition, told, missing, rounds.seed * 100_003 + number, say):
            repetition = counted[_key(point)]
            counted[_key(point)] += 1
            run = experiment.run_of(point, repetition)
            chosen.append({"id": run.id, "parameters": point, "repetition": repetition})
    known = [*before, *chosen]
    runs = [experiment.run_of(run["parameters"], run["repetition"]) for run in known]
    if [run.id for run in runs] != [run["id"] for run in known]:
        message = f"{chosen_file.parent}: found runs of another command or definition, expected those of the same sweep"
        raise ConfigError(f"{message}; give the changed experiment another name, or change it back")
    experiment.write(folder / "runs.tsv", runs)
    write_json(chosen_file, chosen)
    write_json(runs_file(folder, number), chosen)


def run_of_place(place_file: Path) -> RunFolder:
    """Return the folder of the run whose end `place_file`, `rounds/<round>/<place>.json`, says.

    Raises
    ------
    LaunchError
        When the round has not been chosen.
    """
    experiment, number = place_file.parents[2], int(place_file.parent.name)
    try:
        return RunFolder(experiment / read_json(runs_file(experiment, number))[int(place_file.stem) - 1]["id"])
    except FileNotFoundError as error:
        message = f"{runs_file(experiment, number)}: found no such file, expected a round whose runs have been chosen"
        raise LaunchError(message) from error


def launch_place(place_file: Path) -> int:
    """Run the run of a place, and write `place_file` when it has ended: also when it failed, which is a result, too.

    Returns
    -------
    int
        0 when it has ended; as `runferry.launch.launch` does where it has not: it was stopped, and goes on later.
    """
    from runferry.launch import launch

    folder = run_of_place(place_file)
    # The rule's log is the run's.
    log = place_file.with_suffix(".log")
    log.unlink(missing_ok=True)
    log.symlink_to(os.path.relpath(folder.log_file, log.parent))
    status = 0
    # A job that ran out of memory was killed before it could say so here.
    if not folder.trained_file.exists() and _last_reason(folder) != reasons.OUT_OF_MEMORY:
        status = launch(folder)
    return 0 if note_end(place_file) else status or 1


def note_end(place_file: Path) -> bool:
    """Write `place_file` if the run of the place has ended for good; return whether it has."""
    folder = run_of_place(place_file)
    finished = folder.trained_file.exists()
    if not finished and _last_reason(folder) not in reasons.OWN_FAULT:
        return False
    write_json(place_file, {"run": folder.path.name, "finished": finished})
    return True


def _last_reason(folder: RunFolder) -> str | None:
    from runferry.under_way import last_attempt

    attempt = last_attempt(folder)
    return attempt["reason"] if attempt else None


def _told(folder: RunFolder, parameters: dict[str, Any], metric: str) -> dict[str, Any]:
    # Heavy, and not for the parse of a workflow, which imports this module.
    from runferry.run_result import read_result

    result = read_result(folder, metric)
    return {
        "name": result.run,
        "state": result.state,
        "config": {name: {"value": value} for name, value in parameters.items()},
        "history": [{metric: value} for value in result.values],
    }


def _key(parameters: dict[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True)

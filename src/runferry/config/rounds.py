"""Divide a bayes sweep into rounds: the results of each round choose the runs of the next.

`results/<experiment>/rounds/<round>/runs.json` lists the runs of a round, in the order of their places in it; it is
chosen once, so that a sweep that is stopped goes on where it was. `<place>.json` beside it says that
the run of that place has ended, however it ended. How many runs a round has is known beforehand, only which is not: so
the rules are ordinary ones, and no checkpoint of Snakemake's is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runferry.errors import LaunchError
from runferry.runs.folder import RunFolder
from runferry.system.files import read_json, write_json
from runferry.system.records import Record, from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


FOLDER = "rounds"
"""In the experiment's folder."""


@dataclass(frozen=True)
class Rounds:
    """The division of a bayes sweep's runs into rounds."""

    count: int
    """Of runs, in all rounds."""
    size: int
    """Runs of a round: chosen together, trained at the same time."""
    seed: int

    @property
    def number(self) -> int:
        """Return the number of rounds."""
        return -(-self.count // self.size)

    def size_of(self, number: int) -> int:
        """Return the number of runs of a round, counted from 1; the last round has what is left."""
        return min(self.size, self.count - (number - 1) * self.size)

    def places(self, pattern: str, only: int | None = None) -> list[str]:
        """Fill `{round}` and `{place}` of `pattern` with each place of every round, or of one."""
        numbers = range(1, self.number + 1) if only is None else [only]
        return [
            pattern.replace("{round}", str(number)).replace("{place}", str(place))
            for number in numbers
            for place in range(1, self.size_of(number) + 1)
        ]


@dataclass(frozen=True, eq=False, repr=False)
class ChosenRun(Record):
    """One run in the list of a round's file."""

    NAME: ClassVar[str] = "run of a round"
    id: str
    """The name of its folder."""
    parameters: Mapping[str, Any]
    repetition: int
    """How often the same parameters were chosen before."""


def read_chosen(file: Path) -> list[ChosenRun]:
    """Read a list of chosen runs, in the order of their places.

    Raises
    ------
    OSError
        When it cannot be read.
    ValueError
        When it is no such list; the message names the file.
    """
    return [from_json(ChosenRun, run, f"{file}: run {place}") for place, run in enumerate(read_json(file), 1)]


def write_chosen(file: Path, runs: Iterable[ChosenRun]) -> None:
    """Write a list of chosen runs.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    write_json(file, [run.to_json() for run in runs])


def round_file(experiment: Path, number: int) -> Path:
    """Return the path of the file that lists the runs of a round."""
    return experiment / FOLDER / str(number) / "runs.json"


def run_of_place(place_file: Path) -> RunFolder:
    """Return the folder of the run whose end `place_file`, `rounds/<round>/<place>.json`, records.

    Raises
    ------
    LaunchError
        When the round has not been chosen.
    """
    experiment, number = place_file.parents[2], int(place_file.parent.name)
    try:
        return RunFolder(experiment / read_chosen(round_file(experiment, number))[int(place_file.stem) - 1].id)
    except FileNotFoundError as error:
        message = f"{round_file(experiment, number)}: found no such file, expected a round whose runs have been chosen"
        raise LaunchError(message) from error

"""Name the files in a run's folder, `results/<experiment>/<run>/`, and find such folders."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.errors import ConfigError
from runferry.runs.attempt_record import AttemptRecord
from runferry.runs.run_record import RunRecord

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Names the files of a run; only methods that say so read or write them.

    >>> from pathlib import Path
    >>> folder = RunFolder(Path("results/digits/k3j9x2ab"))
    >>> folder.trained_file.as_posix()
    'results/digits/k3j9x2ab/trained.json'
    >>> folder.receipt_file.name  # of a run that is not trained
    'interim-receipt.json'
    >>> folder.attempt_numbers(), folder.segments()  # nothing is on the disk
    ([], [])
    """

    path: Path

    @property
    def run_file(self) -> Path:
        """Return the path of `run.json`, the run's definition, written before the run is submitted."""
        return self.path / "run.json"

    @property
    def wandb_folder(self) -> Path:
        """Return the folder for wandb's segments: `$WANDB_DIR/wandb`, where WANDB_DIR is the run's folder."""
        return self.path / "wandb"

    @property
    def data_folder(self) -> Path:
        """Return the folder in which wandb stages artifacts and media (WANDB_DATA_DIR); sync needs it again."""
        return self.path / "wandb-data"

    @property
    def attempts_folder(self) -> Path:
        """Return the folder with one `<n>.json` for each attempt, numbered from 1."""
        return self.path / "attempts"

    @property
    def starts_folder(self) -> Path:
        """Return the folder that says which of several jobs has started the run; see `runferry.runs.first_start`."""
        return self.path / "starts"

    @property
    def checkpoints_folder(self) -> Path:
        """Return the folder for the user's checkpoints, given to the command as `$RUNFERRY_CHECKPOINTS`."""
        return self.path / "checkpoints"

    @property
    def collected_folder(self) -> Path:
        """Return the folder for files brought back from the node: the experiment's `collect`."""
        return self.path / "collected"

    @property
    def log_file(self) -> Path:
        """Return the file with all that the command printed, attempt after attempt."""
        return self.path / "train.log"

    @property
    def kept_log_file(self) -> Path:
        """Return a second name of the log: Snakemake deletes what a rule calls its log before each of its jobs."""
        return self.attempts_folder / "train.log"

    @property
    def trained_file(self) -> Path:
        """Return the output of rule `train`, written when the command ended with exit code 0."""
        return self.path / "trained.json"

    @property
    def finished_file(self) -> Path:
        """Return the file of a run trained in a pack, which rule `settle` renames to `trained.json`.

        Snakemake removes a rule's output before the rule, and warns where it finds one that it did not expect.
        """
        return self.path / "finished.json"

    @property
    def has_finished(self) -> bool:
        """Return whether its command has ended with exit code 0: nobody trains it any more."""
        return self.trained_file.exists() or self.finished_file.exists()

    @property
    def receipt_file(self) -> Path:
        """Return the file of the receipt, which says that the server holds every record of every segment.

        `receipt.json`, the output of `sync`, once the run is trained. Until then (it failed, was stopped) a file that
        no rule knows: a receipt that Snakemake found would make it believe that the run is done.
        """
        return self.path / "receipt.json" if self.trained_file.exists() else self.interim_receipt_file

    @property
    def interim_receipt_file(self) -> Path:
        """Return the file of the receipt of a run that is not trained yet."""
        return self.path / "interim-receipt.json"

    @property
    def resent_folder(self) -> Path:
        """Return the folder for copies of segments that leave out unreadable and already uploaded records.

        It exists until the run has a receipt.
        """
        return self.path / "resent"

    @property
    def cleaned_file(self) -> Path:
        """Return the file that keeps what deleted segments said; see `runferry.trackers.wandb.deleted`."""
        return self.path / "cleaned.json"

    @property
    def renamed_file(self) -> Path:
        """Return the file with the new ids of W&B runs; see `runferry.trackers.wandb.renamed`."""
        return self.path / "renamed.json"

    def segments(self, wandb_run: str | None = None) -> list[Path]:
        """List the `offline-run-*` and `run-*` (online) folders in the order in which they were begun.

        Parameters
        ----------
        wandb_run
            The id of one W&B run, where only its segments are wanted.
        """
        names = [name for name in _names_in(self.wandb_folder) if name.startswith(("offline-run-", "run-"))]
        if wandb_run is not None:
            names = [name for name in names if wandb_run_of(name) == wandb_run]
        # The rest of the name is <YYYYmmdd_HHMMSS>-<id>, so that the names sort by time.
        names.sort(key=lambda name: name.removeprefix("offline-"))
        return [self.wandb_folder / name for name in self._in_order_of_attempts(names)]

    def _in_order_of_attempts(self, names: list[str]) -> list[str]:
        """Put names that are in order of their times into that of their attempts, where the records name them.

        wandb names a segment by local time: a node in another time zone, a clock that is set, or the end of summer time
        would put a later attempt's rows before an earlier one's.
        """
        if len(names) < 2:
            return names
        # What is wrong with a record is said where that is needed; here the names say the order then.
        with suppress(OSError, ValueError):
            attempt_of = {name: record.attempt for record in self.attempts() for name in record.segments}
            ordered = iter(sorted((name for name in names if name in attempt_of), key=attempt_of.__getitem__))
            return [next(ordered) if name in attempt_of else name for name in names]
        return names

    def segment_names(self) -> list[str]:
        """List the names of the segments of all attempts, of whichever tracker."""
        comet = [name for name in _names_in(self.path / "comet") if name.removeprefix("attempt-").isdigit()]
        return [*(segment.name for segment in self.segments()), *comet]

    def attempt_numbers(self) -> list[int]:
        """List the numbers of the attempts so far, from low to high."""
        stems = [name.removesuffix(".json") for name in _names_in(self.attempts_folder) if name.endswith(".json")]
        return sorted(int(stem) for stem in stems if stem.isdigit())

    def attempts(self) -> list[AttemptRecord]:
        """Read the records of the attempts so far, first to last.

        Raises
        ------
        OSError, ValueError
            When one of them cannot be read.
        """
        return [AttemptRecord.read(self.attempts_folder / f"{number}.json") for number in self.attempt_numbers()]

    def read_run(self) -> RunRecord:
        """Read `run.json`.

        Raises
        ------
        ConfigError
            When the folder is not a run's, or its record is none.
        """
        try:
            return RunRecord.read(self.run_file)
        except FileNotFoundError as error:
            message = (
                f"{self.path}: found no run.json in it, expected the folder of a run, as in results/<experiment>/<run>"
            )
            raise ConfigError(message) from error
        except ValueError as error:
            raise ConfigError(str(error)) from error


def wandb_run_of(segment: str) -> str:
    """Return the id of the W&B run in a segment's name.

    >>> wandb_run_of("offline-run-20261127_061826-k3j9x2ab-2")
    'k3j9x2ab-2'
    """
    return segment.removeprefix("offline-").removeprefix("run-").partition("-")[2]


def _names_in(folder: Path) -> list[str]:
    # With the fewest questions to a shared filesystem: a glob looks at the folder first.
    try:
        return os.listdir(folder)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def find_run_folders(path: Path) -> list[RunFolder]:
    """List the run folders at or below `path` (a run's folder, an experiment's, or the whole results), sorted.

    >>> from pathlib import Path
    >>> for run in ("digits/b", "digits/a", "letters/c"):
    ...     Path("results", run).mkdir(parents=True)
    ...     _ = Path("results", run, "run.json").write_text("{}")
    >>> [folder.path.as_posix() for folder in find_run_folders(Path("results/digits"))]
    ['results/digits/a', 'results/digits/b']
    >>> len(find_run_folders(Path("results")))
    3

    Raises
    ------
    ConfigError
        When there is no such folder or no run in it.
    """
    if not path.is_dir():
        message = f"{path}: found no such folder, expected a run's folder, an experiment's, or results/"
        raise ConfigError(message)
    patterns = ["run.json", "*/run.json", "*/*/run.json"]
    found = sorted({file.parent for pattern in patterns for file in path.glob(pattern)})
    if not found:
        message = f"{path}: found no run in it (no run.json), expected results/, an experiment's folder or a run's"
        raise ConfigError(message)
    return [RunFolder(folder) for folder in found]


def listed_names(experiment: Path) -> dict[str, str]:
    """Return the ids of an experiment's runs with their names, in the order of its table; empty without a table."""
    try:
        lines = (experiment / "runs.tsv").read_text().splitlines()[1:]
    except OSError:
        return {}
    cells = [line.split("\t") for line in lines]
    return {row[0]: row[1] if len(row) > 1 else row[0] for row in cells if row[0]}


def listed_runs(experiment: Path) -> list[str]:
    """Return the ids of an experiment's runs, in the order of its table, `runs.tsv`.

    Raises
    ------
    FileNotFoundError
        When there is no table.
    """
    lines = (experiment / "runs.tsv").read_text().splitlines()[1:]
    return [line.partition("\t")[0] for line in lines]


STATE_FILE = "live.json"
"""In the run's folder. It saves reading a long log again from its start; without it the server is asked instead."""


FOLDER = ".sync"
"""In the results folder: who holds the lock, and what waits to be synced."""


def runs_of(experiment: Path) -> list[str]:
    """List the ids of an experiment's runs, as its table says.

    Raises
    ------
    ConfigError
        When there is no table.
    """
    try:
        return listed_runs(experiment)
    except FileNotFoundError as error:
        message = f"{experiment}: found no runs.tsv in it, expected an experiment's folder, as in results/<experiment>"
        raise ConfigError(message) from error

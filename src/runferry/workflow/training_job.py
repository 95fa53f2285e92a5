"""Find the runs that a job of Snakemake trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.config import rounds
from runferry.errors import ConfigError, LaunchError
from runferry.launch import bayes_run
from runferry.runs.folder import RunFolder
from runferry.runs.pack import done_file, folders_of_pack, read_pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class TrainingJob:
    """A job of Snakemake that trains runs.

    Attributes
    ----------
    done_file
        Its output, which says that nothing is left to do.
    folders
        The runs that it brings further.
    attempts
        Jobs that may be submitted for it, one after the other.
    in_round
        Whether it has a place in a round of a bayes sweep, where a run that failed is done with, too.
    """

    done_file: Path
    folders: tuple[RunFolder, ...]
    attempts: int
    in_round: bool = False

    @property
    def done(self) -> bool:
        """Return whether nothing is left to do."""
        return self.done_file.exists()

    def note_end(self) -> None:
        """Record in its round that a run has failed, where its job was killed before it could do so."""
        if self.in_round and not self.done:
            bayes_run.note_end(self.done_file)


def training_job(outputs: Iterable[str], attempts: Mapping[Path, int]) -> TrainingJob | None:
    """Return the runs that the job with these outputs trains; None for a job that does not train.

    Parameters
    ----------
    outputs
        As Snakemake has them: by these a job is known, whatever another workflow calls its rule.
    attempts
        How many jobs a run may have, by the experiment's folder: a workflow that uses this one several times may have
        experiments of one name.
    """
    for output in map(Path, outputs):
        run = RunFolder(output.parent)
        if output == run.path / "trained.json" and run.run_file.exists():
            return TrainingJob(output, (run,), attempts.get(run.path.parent.resolve(), 1))
        if output.parent.parent.name == rounds.FOLDER and output.stem.isdigit():
            try:
                run = rounds.run_of_place(output)
            except LaunchError:
                continue
            return TrainingJob(output, (run,), attempts.get(output.parents[2].resolve(), 1), in_round=True)
        if output == done_file(output.parent):
            try:
                pack = read_pack(output.parent)
            except ConfigError:
                continue
            return TrainingJob(
                output, tuple(folders_of_pack(output.parent, pack)), attempts.get(output.parents[2].resolve(), 1)
            )
    return None

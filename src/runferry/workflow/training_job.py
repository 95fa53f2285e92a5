"""Find the runs that a job of Snakemake trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config import rounds
from runferry.config.search import state
from runferry.errors import ConfigError, LaunchError
from runferry.launch import bayes_run
from runferry.runs import reasons
from runferry.runs.attempt_record import AttemptRecord
from runferry.runs.folder import RunFolder
from runferry.runs.pack import done_file, folders_of_pack, read_pack
from runferry.runs.state import last_attempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runferry.config.job_request import Request


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
    launcher
        What follows `runferry` in the command that trains.
    in_round
        Whether it has a place in a round or a search, where a run that failed is done with, too.
    """

    done_file: Path
    folders: tuple[RunFolder, ...]
    attempts: int
    launcher: tuple[str, ...]
    in_round: bool = False

    @property
    def name(self) -> str:
        """Return a name for its Slurm job: the experiment, and the run, the pack or the place in a round."""
        parts = self.done_file.with_suffix("").parts
        if state.is_place(self.done_file):
            return f"{parts[-3]}-search-{parts[-1]}"
        if self.in_round:
            experiment, _, number, place = parts[-4:]
            return f"{experiment}-round-{number}-{place}"
        if self.launcher[0] == "launch-pack":
            return f"{parts[-4]}-pack-{parts[-2]}"
        return f"{parts[-3]}-{parts[-2]}"

    @property
    def done(self) -> bool:
        """Return whether nothing is left to do."""
        return self.done_file.exists()

    @property
    def explained(self) -> bool:
        """Return whether nothing is left to do, nor to ask Slurm for: it knows whether memory ran out for a SIGKILL."""
        killed = self.in_round and any(
            (last_attempt(folder) or AttemptRecord()).reason == reasons.KILLED for folder in self.folders
        )
        return self.done and not killed

    def note_end(self) -> None:
        """Record in its round that a run has failed, where its job was killed before it could do so."""
        if self.in_round and not self.done:
            bayes_run.note_end(self.done_file)


# What each use of the workflow in this process has said: a foreign workflow may use it as a module several times.
_attempts: dict[Path, int] = {}
_requests: dict[Path, Request] = {}


def register_experiments(attempts: Mapping[Path, int]) -> None:
    """Note how many jobs a run of each experiment may have, by the experiment's folder.

    Of other experiments no job trains: another workflow's rule may have outputs of the same names.
    """
    _attempts.update({folder.resolve(): jobs for folder, jobs in attempts.items()})


def register_alternatives(requests: Mapping[Path, Request]) -> None:
    """Note what jobs of a run ask for of which the first to start trains it, by the experiment's folder."""
    _requests.update({folder.resolve(): request for folder, request in requests.items() if request.alternatives})


def alternatives_of(training: TrainingJob) -> tuple[Request, ...]:
    """Return what jobs to submit for a run of which the first to start trains it; none where it is to have one."""
    if len(training.folders) != 1 or training.launcher[0] == "launch-pack":
        return ()
    request = _requests.get(training.folders[0].path.parent.resolve())
    return (request, *request.alternatives) if request else ()


def training_of(job: Any) -> TrainingJob | None:
    """Return what a job of Snakemake's trains; None for one that does not train, and for a group of jobs."""
    return None if job.is_group() else training_job(job.output, _attempts)


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
        if output.name == "trained.json":
            experiment, launcher = output.parents[1], ("launch", str(output.parent.resolve()))
        elif output.parent.parent.name == rounds.FOLDER and output.stem.isdigit():
            experiment, launcher = output.parents[2], ("launch-place", str(output.resolve()))
        elif state.is_place(output):
            # Asked here: a node whose filesystem does not show the point yet must not ask for another one.
            experiment, launcher = output.parents[1], ("launch-place", "--point-asked", str(output.resolve()))
        elif output == done_file(output.parent):
            experiment, launcher = output.parents[2], ("launch-pack", str(output.parent.resolve()))
        else:
            continue
        allowed = attempts.get(experiment.resolve())
        if allowed is None:
            continue
        try:
            folders = _folders(output, launcher[0])
        except (ConfigError, LaunchError):
            continue
        if folders or (state.is_place(output) and output.exists()):
            return TrainingJob(output, folders, allowed, launcher, in_round=launcher[0] == "launch-place")
    return None


def place_of_search(job: Any) -> Path | None:
    """Return the file of the place of a search that a job of Snakemake's has, for which a point is to be asked for."""
    if job.is_group():
        return None
    for output in map(Path, job.output):
        if state.is_place(output) and output.parents[1].resolve() in _attempts:
            return output
    return None


def _folders(output: Path, command: str) -> tuple[RunFolder, ...]:
    if command == "launch":
        run = RunFolder(output.parent)
        return (run,) if run.run_file.exists() else ()
    if state.is_place(output) and output.exists() and state.run_of_place(output) is None:
        # There was no point left to ask for.
        return ()
    if command == "launch-place":
        return (bayes_run.run_of_place(output),)
    return tuple(folders_of_pack(output.parent, read_pack(output.parent)))

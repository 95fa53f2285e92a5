"""Read and write a pack, `results/<experiment>/packs/<pack>/`: runs of one experiment that share a Slurm job.

runs.json    which runs, and how they share it; written before the job is submitted
pack.log     what was started and ended, and when; what a run's command prints is in the run's own train.log
done.json    written when each of them has had its attempt, however that ended
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from runferry.errors import ConfigError, LaunchError
from runferry.runs import reasons
from runferry.runs.attempt import write_trained
from runferry.runs.continuation import should_continue
from runferry.runs.ending import UNDER_WAY
from runferry.runs.folder import RunFolder
from runferry.system.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.runs.attempt_record import AttemptRecord

FOLDER = "packs"
"""In an experiment's folder."""


@dataclass(frozen=True)
class Pack:
    """The content of a pack's `runs.json`."""

    side_by_side: int
    """Runs at a time."""
    gpus: int
    """Of the job's GPUs, those that one run has; 0 leaves it all that the job has."""
    seconds: int | None
    """The longest one run may take; None leaves it to the end of the job."""
    runs: Mapping[str, int]
    """The ids of the runs, in their order, with the number of attempts that each had before this pack."""
    share_gpu: int = 1
    """Of the runs at a time, those that have one GPU together."""

    @property
    def line(self) -> str:
        """Return what the pack's `runs.json` says, in one line: rule `pack` writes it without a start of Python."""
        return json.dumps({**asdict(self), "runs": dict(self.runs)})

    def write(self, file: Path) -> None:
        """Write the pack's `runs.json`."""
        write_json(file, {**asdict(self), "runs": dict(self.runs)})


def pack_file(folder: Path) -> Path:
    """Return the path of the file that lists a pack's runs."""
    return folder / "runs.json"


def done_file(folder: Path) -> Path:
    """Return the path of the file that says that each run of a pack has had its attempt."""
    return folder / "done.json"


def read_pack(folder: Path) -> Pack:
    """Read the `runs.json` of a pack.

    Raises
    ------
    ConfigError
        When the folder is not a pack's.
    """
    file = pack_file(folder)
    try:
        return Pack(**read_json(file))
    except (FileNotFoundError, TypeError) as error:
        message = f"{folder}: found no runs.json of a pack in it, expected results/<experiment>/{FOLDER}/<pack>"
        raise ConfigError(message) from error


def folders_of_pack(folder: Path, pack: Pack) -> list[RunFolder]:
    """Return the folders of a pack's runs."""
    return [RunFolder(folder.parent.parent / run) for run in pack.runs]


def runs_left(folder: Path, pack: Pack) -> list[RunFolder]:
    """List the runs of a pack that one of its jobs still has to train.

    These are the ones that have had no attempt in it, and those that another attempt continues. One that failed
    by itself is not run again by the same pack: Snakemake, called again, makes another.
    """
    return [run for run in folders_of_pack(folder, pack) if _is_left(run, pack.runs[run.path.name])]


def _is_left(run: RunFolder, attempts_before: int) -> bool:
    if run.has_finished:
        return False
    attempts = run.attempts()[attempts_before:]
    if not attempts or should_continue(run):
        return True
    # Still under way: its job was killed, or its node is lost. Not started: another job was at work on it.
    return attempts[-1].outcome in UNDER_WAY or attempts[-1].reason == reasons.NOT_STARTED


def settle_run(run: RunFolder) -> None:
    """Write the `trained.json` of a run that was trained in a pack, as the output of a rule of its own.

    Raises
    ------
    LaunchError
        When it was not trained, with the reason.
    """
    if run.finished_file.exists():
        run.finished_file.rename(run.trained_file)
        return
    attempts = run.attempts()
    if not attempts:
        message = (
            f"run {run.path.name}: found no attempt, expected one; see the pack's log in {run.path.parent / FOLDER}"
        )
        raise LaunchError(message)
    last = attempts[-1]
    if last.outcome == "finished":
        # Where a filesystem still hides the file, or Snakemake removed what was there before the rule began.
        write_trained(run, last)
        return
    message = last.message
    why = f": {message.rstrip('.')}" if message else ""
    message = f"run {run.path.name}: expected it to finish, found: attempt {last.attempt} {_ending(last)}{why}"
    raise LaunchError(f"{message}. Log: {run.log_file}")


def _ending(attempt: AttemptRecord) -> str:
    if attempt.outcome in UNDER_WAY:
        return "has not said how it ended"
    if attempt.signal:
        return f"ended by {attempt.signal}"
    reason = attempt.reason
    why = f" ({reason})" if reason and reason != attempt.outcome else ""
    return f"{attempt.outcome}, exit code {attempt.exit_code}{why}"

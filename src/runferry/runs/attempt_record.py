"""Read and write the records of a run's attempts: `attempts/<n>.json`, and `trained.json` of the one that finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runferry.system.files import json_text
from runferry.system.processes import is_alive
from runferry.system.records import Record, optional

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class CodeEntry(Record):
    """A state of the code that a command is (see `runferry.runs.code`)."""

    digest: str = ""
    """Of the paths and contents of the source files."""
    commit: str | None = None
    """None outside git."""
    changed: bool = False
    """Whether the files differed from the commit."""
    pinned: bool = False
    """Whether the command ran from a snapshot."""
    state: str = ""
    """The file with the state and its diff, relative to the run's folder."""
    attempts: tuple[int, ...] = optional(())
    """Numbers of the attempts that ran it, in a receipt; an attempt's own record has none."""


@dataclass(frozen=True, eq=False, repr=False)
class Used(Record):
    """What a command and all that it started and waited for used."""

    cpu_seconds: float = 0.0
    peak_memory: int = 0
    """Bytes of the largest of these processes."""

    def __add__(self, other: Used) -> Used:
        """Return what two groups of processes used together."""
        return Used(round(self.cpu_seconds + other.cpu_seconds, 2), max(self.peak_memory, other.peak_memory))


@dataclass(frozen=True, eq=False, repr=False)
class AttemptRecord(Record):
    """The content of `attempts/<n>.json`: where and when an attempt ran, how and why it ended."""

    NAME: ClassVar[str] = "record of an attempt"
    attempt: int = 0
    """Its number, from 1."""
    host: str | None = None
    """The node."""
    job: str | None = None
    """SLURM_JOB_ID; None without Slurm."""
    alternative: str | None = optional()
    """What of `any_of` the job has, in the config's words; None where it was the only job."""
    pid: int | None = None
    """Of the launcher."""
    pid_start: int | None = None
    """When that process started: clock ticks since the machine did."""
    command: tuple[str, ...] = ()
    """The arguments."""
    environment: str | None = None
    """Key of the packed environment, or of the image."""
    wandb: str | None = None
    """Version of wandb in the training environment."""
    start: str | None = None
    """ISO 8601, UTC."""
    end: str | None = None
    """None while it runs."""
    seconds: float | None = None
    """Between the two, by a clock that never jumps; None while it runs, and where its end was found by another."""
    outcome: str | None = None
    """"waiting" and "taking over" (see `runferry.launch.takeover`), "running"; "finished", "stopped", "failed",
    "killed" (see `runferry.runs.ending.Ending.outcome`), "lost" where the attempt could not say how it ended."""
    reason: str | None = None
    """Why it ended, one of `runferry.runs.reasons`; None while it runs, and when it finished."""
    exit_code: int | None = None
    """Of the command; None when a signal ended it."""
    signal: str | None = None
    """Name of the signal that ended it, as SIGTERM."""
    passed_on: tuple[str, ...] = ()
    """Names of the signals that it was sent before."""
    segments: tuple[str, ...] = ()
    """Names of the folders with segments that it wrote, in order."""
    message: str | None = None
    """One line for the user."""
    code: CodeEntry | None = optional()  # noqa: RUF009
    """The code that it ran; None where it is not known."""
    rows: Mapping[str, Any] | None = optional()
    """By segment: how many rows the command has logged, as they passed on their way to the disk; None for one of which
    that cannot be said. None as a whole where nothing passed."""
    missing: tuple[str, ...] = optional(())
    """Lines about what of them is not on the disk."""
    pruned: bool = optional(default=False)
    """Whether its sweep ended it early."""
    used: Used | None = optional()  # noqa: RUF009
    """None while it runs."""
    run: str | None = optional()
    """The W&B run id, where it finished."""
    given_up: bool = optional(default=False)
    """Whether the workflow starts no other attempt: those that it may have are used up."""

    @property
    def launcher_is_alive(self) -> bool:
        """Return whether the launcher's process exists; only its own machine can say."""
        return self.pid is not None and is_alive(self.pid, self.pid_start)

    @property
    def text(self) -> str:
        """Return the content of its file."""
        return json_text(self.to_json())


@dataclass(frozen=True, eq=False, repr=False)
class TrainedRecord(Record):
    """The content of `trained.json`: the record of the attempt that finished, or that a run was adopted.

    Of an attempt's keys only those stand here that somebody asks for.
    """

    NAME: ClassVar[str] = "record of a trained run"
    run: str = ""
    """The W&B run id."""
    attempt: int | None = None
    """Its number; None of an adopted run."""
    adopted: bool = optional(default=False)
    """Whether the run was made without runferry, and its last segment says that it finished."""
    segments: tuple[str, ...] = ()
    """Names of segments, in the order of their start."""
    code: CodeEntry | None = optional()  # noqa: RUF009
    """As `AttemptRecord.code`."""
    pruned: bool = optional(default=False)
    """As `AttemptRecord.pruned`."""

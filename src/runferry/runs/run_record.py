"""Read and write `run.json`, which says what a run is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from runferry.system.records import Record, optional

if TYPE_CHECKING:
    from collections.abc import Mapping

Section = TypeVar("Section")


@dataclass(frozen=True, eq=False, repr=False)
class WandbSection(Record):
    """What wandb is told of a run."""

    NAME: ClassVar[str] = "section `wandb` of a run"
    project: str = ""
    entity: str | None = None
    """The user or team; None is the key's default one."""
    tags: tuple[str, ...] = ()
    mode: str = "offline"
    """"online", or "offline", of which "dryrun" is an old name; of an adopted run it says nothing."""
    base_url: str | None = None
    """Address of the server; None is what wandb itself would use."""
    metrics_only: bool = optional(default=False)
    """Whether an online job sends no files, since the site's proxy does not let them through."""
    modules: tuple[str, ...] = optional(())
    """Environment modules that an online job loads."""
    group: str = ""
    """The experiment."""


@dataclass(frozen=True, eq=False, repr=False)
class CometSection(Record):
    """What Comet is told of a run."""

    NAME: ClassVar[str] = "section `comet` of a run"
    project: str = ""
    workspace: str | None = None
    """None is the key's default one."""
    tags: tuple[str, ...] = ()
    base_url: str | None = None
    """Address of the server; None is Comet's own, or that of `$COMET_URL_OVERRIDE`."""
    group: str = ""
    """The experiment."""


@dataclass(frozen=True, eq=False, repr=False)
class WarningEntry(Record):
    """What the command is sent before its job's time limit."""

    signal: str = "SIGTERM"
    seconds: int | None = None
    """How long before; None leaves it to the launcher."""


@dataclass(frozen=True, eq=False, repr=False)
class RunRecord(Record):
    """The content of `run.json`."""

    NAME: ClassVar[str] = "record of a run"
    id: str
    """The W&B run id; the name of the run's folder."""
    name: str = ""
    """What the tracker shows."""
    command: tuple[str, ...] = ()
    """The arguments, from the program's name to the last; none of an adopted run."""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values by the names of the sweep's parameters."""
    macros: tuple[int, ...] = optional(())
    """The positions of arguments with a macro for the launcher."""
    experiment: str | None = None
    """None of an adopted run."""
    workdir: str = ""
    """Absolute path of the folder in which the command runs; empty of an adopted run."""
    environment: str | None = None
    """The environment's record, relative to the run's folder; None runs the command with the PATH as it is."""
    modules: tuple[str, ...] = ()
    """Environment modules that a job loads before the command, in this order."""
    warning: WarningEntry | None = None
    tracker: str = optional("wandb")
    """"wandb" or "comet": which of the next two sections there is."""
    wandb: WandbSection | None = optional()  # noqa: RUF009
    comet: CometSection | None = optional()  # noqa: RUF009
    code: str | None = optional()
    """"pinned" where the command runs from a snapshot."""
    nodes: int = optional(1)
    tasks: int = optional(1)
    """On its node."""
    gpus_per_task: int | None = optional()
    """GPUs that each task sees; None is all of the run's."""
    gpus: int = optional(0)
    """Of each node."""
    stage: tuple[Any, ...] = optional(())
    """What is put onto the node before the command starts: records of `runferry.config.data.Item`."""
    collect: tuple[str, ...] = optional(())
    """Patterns of what is brought back from it."""
    variables: Mapping[str, Any] = optional(factory=dict[str, Any])
    """Environment variables of the command, with their macros."""
    needs: Mapping[str, Any] = optional(factory=dict[str, Any])
    """By the names of experiments whose results it uses: the file that names their best run, relative to the run's
    folder."""
    early_terminate: Mapping[str, Any] | None = optional()
    """The sweep's `metric` and `hyperband`, by which the launcher stops the run early."""
    pruner: Mapping[str, Any] | None = optional()
    """`name` of the engine's pruner, by which the launcher stops the run early."""
    adopted: bool = optional(default=False)
    """Whether it was made without runferry."""
    code_root: str | None = optional()
    """What the snapshot leads to; set while an attempt runs from one, and never written."""

    @property
    def of_wandb(self) -> WandbSection:
        """Return the section of W&B.

        Raises
        ------
        ValueError
            When there is none.
        """
        return self._section(self.wandb, "wandb")

    @property
    def of_comet(self) -> CometSection:
        """Return the section of Comet.

        Raises
        ------
        ValueError
            When there is none.
        """
        return self._section(self.comet, "comet")

    @property
    def given_base_url(self) -> str | None:
        """Return the address of the tracker's server; None where the record names none.

        Raises
        ------
        ValueError
            When the tracker's section is missing.
        """
        return self.of_comet.base_url if self.tracker == "comet" else self.of_wandb.base_url

    def _section(self, section: Section | None, name: str) -> Section:
        if section is None:
            message = f"run {self.id}: found no {name} in its run.json, expected where its rows go"
            raise ValueError(message)
        return section

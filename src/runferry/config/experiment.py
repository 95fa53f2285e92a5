"""Define an experiment: its runs, its resources, and the records that it writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runferry.config.names import BEST_FILE, ENVIRONMENTS, WANDB
from runferry.config.run import RunDefinition, run_of_sweep, short_hash, write_changed, write_table
from runferry.runs.folder import RunFolder
from runferry.runs.run_record import CometSection, RunRecord, WandbSection, WarningEntry
from runferry.system.records import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runferry.config.alternatives import Alternative
    from runferry.config.data import Item
    from runferry.config.rounds import Rounds
    from runferry.config.search.search import Search
    from runferry.config.sweep import parameter
    from runferry.config.sweep.definition import Sweep


@dataclass(frozen=True)
class Experiment:
    """A named set of runs that share a command."""

    name: str
    workdir: Path
    """Where the command runs; relative to the folder that Snakemake works in."""
    runs: Mapping[str, RunDefinition]
    """By id, in the order of the sweep; none where runs are chosen while the sweep goes on (`rounds`, `search`)."""
    cores: int | None
    """None leaves it to the cluster, as the next two."""
    gpus: int
    gpu: str | None
    """The GPU model or MIG instance."""
    memory: int | None
    """In MiB."""
    time: int
    """In minutes."""
    tracker_settings: Mapping[str, Any]
    """What the tracker is told of every run: see `runferry.trackers.tracker.TrackerSettings.settings`."""
    environment: str | None
    """The name of the environment, or None where commands run with the PATH as it is."""
    modules: tuple[str, ...] = ()
    """Environment modules that a job loads before the command, in this order."""
    gpu_memory: int | None = None
    """MiB that the GPU must have of its own: the smallest that has so much is asked for, where `gpu` is None."""
    nodes: int = 1
    """Of one run; the other resources are those of each."""
    tasks: int = 1
    """Of one run, on its node; the other resources are those of all together."""
    gpus_per_task: int | None = None
    """GPUs that each task sees; None is all of the run's."""
    side_by_side: int | None = None
    """How many runs a job has at a time; None leaves it to the cluster, as the next one."""
    one_after_another: int | None = None
    """How many runs a job has in turn."""
    share_gpu: int = 1
    """How many of the runs that a job has at a time share one GPU."""
    attempts: int = 1
    """Jobs that a run may have."""
    warning_signal: str = "SIGTERM"
    """What the command is sent before its job's time limit."""
    warning_seconds: int | None = None
    """How long before; None leaves it to the launcher."""
    stage: tuple[Item, ...] = ()
    """What is put onto the node before the command starts."""
    collect: tuple[str, ...] = ()
    """Patterns of what is brought back from it."""
    sweep: Sweep | None = None
    """The sweep definition that the runs come from."""
    rounds: Rounds | None = None
    """Of a bayes sweep in rounds."""
    search: Search | None = None
    """Of a sweep whose points an engine chooses one by one."""
    needs: tuple[str, ...] = ()
    """Names of the experiments whose results the runs use."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables of the command, with their macros (`runferry.config.variables`)."""
    slurm: Mapping[str, str] = field(default_factory=dict[str, str])
    """Options of Slurm's that jobs are given besides: partition, constraint, qos, reservation, exclude, mail."""
    any_of: tuple[Alternative, ...] = ()
    """What a run's jobs ask for of which the first to start trains it; the other fields are the first one's. None where
    a run has one job at a time."""
    tracker: str = WANDB
    """What the runs log to, "wandb" or "comet"."""
    pinned: bool = False
    """Whether runs are trained from a snapshot of the code."""

    def asking_for(self, alternative: Alternative) -> Experiment:
        """Return the experiment with what one of `any_of` asks for."""
        return replace(self, **alternative.fields)

    @property
    def metric(self) -> Mapping[str, Any] | None:
        """Return the sweep's own `metric`, by which the best of several runs is chosen; None without one."""
        return self.sweep.metric if self.sweep else None

    @property
    def chosen_count(self) -> int | None:
        """Return the number of runs that are chosen while the sweep goes on; None where all are known."""
        chosen = self.search or self.rounds
        return chosen.count if chosen else None

    @cached_property
    def digest(self) -> str:
        """Return a hash of all that `write` would write, so that Snakemake sees when it has to be written again."""
        return short_hash([self.record_of(run).to_json() for run in self.runs.values()], 16)

    @cached_property
    def search_digest(self) -> str:
        """Return a hash of all that `search.json` would say, so that Snakemake sees when it has to be written again."""
        search, sweep = self.search, self.sweep
        if search is None or sweep is None:
            return ""
        shared = self.shared_record.to_json()
        return short_hash([sweep.definition, search.seed, search.count, search.parallel, shared], 16)

    def write(self, runs_file: Path, runs: Iterable[RunDefinition] | None = None) -> None:
        """Write `run.json` for every run, then their table: `runs_file`, tab-separated with a header.

        Parameters
        ----------
        runs_file
            `results/<experiment>/runs.tsv`; the runs' folders are beside it. A `run.json` that says the same already
            is left alone.
        runs
            Those that a bayes sweep has so far; by default the experiment's.
        """
        runs = list(self.runs.values() if runs is None else runs)
        for run in runs:
            write_changed(RunFolder(runs_file.parent / run.id).run_file, self.record_of(run).to_json())
        write_table(runs_file, runs, self.sweep.definition if self.sweep else None)

    def write_missing(self, folder: Path) -> None:
        """Write `run.json` again for each run whose folder was deleted, which is how a user has it trained again.

        Parameters
        ----------
        folder
            `results/<experiment>`. Where it has no table, rule `runs` writes them all.
        """
        if not (folder / "runs.tsv").exists():
            return
        for run in self.runs.values():
            file = RunFolder(folder / run.id).run_file
            if not file.exists():
                write_changed(file, self.record_of(run).to_json())

    def run_of(self, parameters: parameter.Parameters, repetition: int = 0) -> RunDefinition:
        """Make a run of the experiment's sweep from its parameters.

        Parameters
        ----------
        repetition
            How often the same parameters were chosen before: each time is a run of its own.
        """
        if self.sweep is None:
            raise AssertionError
        return run_of_sweep(self.name, self.sweep, parameters, {"repetition": repetition} if repetition else {})

    def record_of(self, run: RunDefinition) -> RunRecord:
        """Return the content of a run's `run.json`."""
        return run.record(self.shared_record)

    @cached_property
    def shared_record(self) -> RunRecord:
        """Return what `run.json` says of every run of the experiment."""
        settings = {**self.tracker_settings, "group": self.name}
        return RunRecord(
            id="",
            experiment=self.name,
            workdir=str(self.workdir.resolve()),
            # Relative to the run's folder, so that results/ can be moved.
            environment=f"../../{ENVIRONMENTS}/{self.environment}.json" if self.environment else None,
            modules=self.modules,
            warning=WarningEntry(self.warning_signal, self.warning_seconds),
            tracker=self.tracker,
            wandb=from_json(WandbSection, settings, "wandb") if self.tracker == WANDB else None,
            comet=None if self.tracker == WANDB else from_json(CometSection, settings, "comet"),
            code="pinned" if self.pinned else None,
            nodes=self.nodes,
            tasks=self.tasks,
            gpus_per_task=self.gpus_per_task,
            gpus=self.gpus,
            stage=tuple(item.as_record() for item in self.stage),
            collect=self.collect,
            variables=self.variables,
            needs={name: f"../../{name}/{BEST_FILE}" for name in self.needs},
            early_terminate=self._early_terminate,
        )

    @cached_property
    def _early_terminate(self) -> dict[str, Any] | None:
        """Return the rule by which the launcher stops a run early; None without one."""
        if self.sweep is None or self.sweep.early_terminate is None:
            return None
        return {"metric": self.sweep.metric, "hyperband": self.sweep.early_terminate}

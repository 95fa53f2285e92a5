"""From the config to runs: what each one is, what it is called and where it lives."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry import sweep
from runferry.config import load_yaml, mebibytes, minutes, seconds
from runferry.data import Item, check_inside, items_of
from runferry.environment_plan import plan_environments
from runferry.errors import ConfigError
from runferry.files import write_atomically, write_json
from runferry.json_values import is_mapping
from runferry.needs import check_needs, macros_in
from runferry.rounds import Rounds
from runferry.run_folder import RunFolder
from runferry.table import read_table
from runferry.tracker import WANDB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runferry.sweep import Sweep

ENVIRONMENTS = "environments"
"""The folder in results/ that is no experiment's."""

BEST_FILE = "best.json"
"""In the folder of an experiment that another needs: which of its runs is the best."""

SWEEP_FILE = "sweep.json"
"""In the folder of an experiment with a sweep: the definition."""


@dataclass(frozen=True)
class Run:
    """One point of an experiment."""

    id: str
    """The W&B run id and the `{run}` wildcard."""
    name: str
    """What W&B shows: the parameters that tell the runs apart."""
    parameters: sweep.Parameters
    command: tuple[str, ...]
    """The arguments, from the program's name to the last; never a shell's line."""
    macros: tuple[int, ...] = ()
    """The places of the arguments in which the launcher has to replace a macro (see `sweep.late_macros`)."""


@dataclass(frozen=True)
class Experiment:
    """A named set of runs that share a command."""

    name: str
    workdir: Path
    """Where the command runs; relative to the folder that Snakemake works in."""
    runs: Mapping[str, Run]
    """By id, in the order of the sweep; none of a bayes sweep, whose runs are chosen while it goes on (`rounds`)."""
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
    """What the tracker is told of every run: see `runferry.tracker.Tracker.settings`."""
    environment: str | None
    """The name of the environment, or None where commands run with the PATH as it is."""
    modules: tuple[str, ...] = ()
    """Environment modules that a job loads before the command, in this order."""
    nodes: int = 1
    """Of one run; the other resources are those of each."""
    side_by_side: int | None = None
    """How many runs a job has at a time; None leaves it to the cluster, as the next one."""
    one_after_another: int | None = None
    """How many runs a job has in turn."""
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
    """Of a bayes sweep."""
    needs: tuple[str, ...] = ()
    """Names of the experiments whose results the runs use."""
    tracker: str = WANDB
    """What the runs log to, "wandb" or "comet"."""

    @property
    def metric(self) -> Mapping[str, Any] | None:
        """What tells which of several runs is the best: the sweep's own `metric`."""
        return self.sweep.metric if self.sweep else None

    @cached_property
    def digest(self) -> str:
        """A hash of all that `write` would write, so that Snakemake sees when it has to be written again."""
        return short_hash([self.record_of(run) for run in self.runs.values()], 16)

    def write(self, runs_file: Path, runs: Iterable[Run] | None = None) -> None:
        """Write `run.json` for every run, then the list of them: `runs_file`, tab-separated with a header.

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
            write_changed(RunFolder(runs_file.parent / run.id).run_file, self.record_of(run))
        if self.sweep:
            # For `sync`, which can make the sweep on the server.
            write_changed(runs_file.parent / SWEEP_FILE, self.sweep.definition)
        names = list(dict.fromkeys(name for run in runs for name in run.parameters))
        rows = [["id", "name", *names]]
        rows += [
            [
                run.id,
                run.name,
                *(_cell(run.parameters[name]) if name in run.parameters else "" for name in names),
            ]
            for run in runs
        ]
        write_atomically(runs_file, "".join("\t".join(row) + "\n" for row in rows))

    def run_of(self, parameters: sweep.Parameters, repetition: int = 0) -> Run:
        """Make a run of the experiment's sweep.

        Parameters
        ----------
        repetition
            How often the same parameters were chosen before: each time is a run of its own.
        """
        if self.sweep is None:
            raise AssertionError
        return _run_of_sweep(self.name, self.sweep, parameters, {"repetition": repetition} if repetition else {})

    def record_of(self, run: Run) -> dict[str, Any]:
        """Return the content of a run's `run.json`."""
        return {
            "id": run.id,
            "name": run.name,
            "experiment": self.name,
            "command": list(run.command),
            "parameters": run.parameters,
            "workdir": self._workdir,
            # Relative to the run's folder, so that results/ can be moved.
            "environment": f"../../{ENVIRONMENTS}/{self.environment}.json" if self.environment else None,
            "modules": list(self.modules),
            "warning": {"signal": self.warning_signal, "seconds": self.warning_seconds},
            **({} if self.tracker == WANDB else {"tracker": self.tracker}),
            self.tracker: {**self.tracker_settings, "group": self.name},
            **({"nodes": self.nodes} if self.nodes > 1 else {}),
            **({"gpus": self.gpus} if self.gpus else {}),
            **({"stage": [item.as_record() for item in self.stage]} if self.stage else {}),
            **({"collect": list(self.collect)} if self.collect else {}),
            **({"macros": list(run.macros)} if run.macros else {}),
            **({"needs": {name: f"../../{name}/{BEST_FILE}" for name in self.needs}} if self.needs else {}),
            **({"early_terminate": self._early_terminate} if self._early_terminate else {}),
        }

    @cached_property
    def _workdir(self) -> str:
        # Once for all runs: thousands of records are made whenever Snakemake starts.
        return str(self.workdir.resolve())

    @cached_property
    def _early_terminate(self) -> dict[str, Any] | None:
        """When the launcher stops a run early."""
        if self.sweep is None or self.sweep.early_terminate is None:
            return None
        return {"metric": self.sweep.metric, "hyperband": self.sweep.early_terminate}


def experiments(config: Mapping[str, Any]) -> dict[str, Experiment]:
    """Make the experiments of a validated config (see `runferry.config.validate`), by name.

    Paths in the config are relative to the folder that Snakemake works in: the current one when this is called.

    Raises
    ------
    ConfigError
        When a sweep cannot be read or has no runs, a file that is named is missing, two runs have one id, or two
        experiments would share a folder.
    """
    plan = plan_environments(config)
    sections: Mapping[str, Mapping[str, Any]] = config["experiments"]
    owners: dict[str, str] = {}
    for name in sections:
        # Names that differ only in case are one folder on some filesystems, and one group to the eye.
        key = name.casefold()
        if key == ENVIRONMENTS or key in owners:
            taken = f"another experiment's ({owners[key]})" if key in owners else "the folder of the environments"
            raise ConfigError(f"config: experiments.{name}: found a name that is {taken}, expected one of its own")
        owners[key] = name
    made: dict[str, Experiment] = {}
    for name in check_needs({name: section["needs"] for name, section in sections.items()}):
        made[name] = replace(
            _experiment(name, sections[name], config, made),
            environment=plan.of_experiment[name],
            modules=plan.modules[name],
        )
    # In the order of the config, not of what needs what.
    return {name: made[name] for name in sections}


def _experiment(
    name: str, section: Mapping[str, Any], config: Mapping[str, Any], made: Mapping[str, Experiment]
) -> Experiment:
    where = f"config: experiments.{name}"
    workdir = Path(section["workdir"])
    if not workdir.is_dir():
        raise ConfigError(f"{where}.workdir: found no folder {workdir}, expected the folder that the command runs in")
    needs = _needs(section, where, made)
    definition, made_of = _source(name, section, where, needs)
    runs: dict[str, Run] = {}
    for run in made_of:
        if run.id in runs:
            message = f"{where}: found two runs with the id {run.id} (both {run.name!r}), expected each value once"
            raise ConfigError(message)
        runs[run.id] = run
    resources, warning = section["resources"], section["warning"]
    # `off` is YAML's false.
    packing: Mapping[str, Any] = section["packing"] if is_mapping(section["packing"]) else {}
    switched_off = 1 if section["packing"] is False else None
    try:
        time = minutes(resources["time"])
    except ConfigError as error:
        raise ConfigError(f"{where}.resources.{error}") from error
    return Experiment(
        name=name,
        workdir=workdir,
        runs=runs,
        cores=resources["cores"],
        gpus=resources["gpus"],
        gpu=resources["gpu"],
        memory=mebibytes(resources["memory"]) if resources["memory"] else None,
        time=time,
        tracker=config.get("tracker", WANDB),
        tracker_settings=config[config.get("tracker", WANDB)],
        nodes=resources["nodes"],
        side_by_side=packing.get("side_by_side", switched_off),
        one_after_another=packing.get("one_after_another", switched_off),
        attempts=section["attempts"],
        warning_signal=warning["signal"],
        warning_seconds=seconds(warning["before"]) if warning["before"] else None,
        environment=None,
        stage=items_of(section["stage"], f"{where}.stage"),
        collect=tuple(
            check_inside(pattern, f"{where}.collect.{number}") for number, pattern in enumerate(section["collect"])
        ),
        sweep=definition,
        rounds=_rounds(definition, section),
        needs=tuple(needs),
    )


def _rounds(definition: Sweep | None, section: Mapping[str, Any]) -> Rounds | None:
    if definition is None or definition.method != "bayes":
        return None
    return Rounds(definition.count(section["count"]), section["runs_per_round"], section["seed"])


def _needs(section: Mapping[str, Any], where: str, made: Mapping[str, Experiment]) -> dict[str, str | None]:
    """Give the needed experiments, each with the id of its run; None where it has several, of which one is the best."""
    needs: dict[str, str | None] = {}
    for name in section["needs"]:
        needed = made[name]
        needs[name] = next(iter(needed.runs)) if len(needed.runs) == 1 and not needed.rounds else None
        if needs[name] is None and needed.metric is None:
            many = f"{len(needed.runs)} runs" if not needed.rounds else "a bayes sweep"
            message = f"{where}.needs: found {name}, which has {many}, expected one run, or `metric` in its sweep"
            raise ConfigError(f"{message}, by which the best is chosen")
    return needs


def _source(
    name: str, section: Mapping[str, Any], where: str, needs: Mapping[str, str | None]
) -> tuple[Sweep | None, Iterable[Run]]:
    """Find what an experiment's runs are made of: a sweep, a table with a command, or a command alone."""
    given, table, line = section["sweep"], section["runs"], section["command"]
    if (given is None) == (line is None) or (table and line is None):
        found = " and ".join(key for key in ("sweep", "runs", "command") if section[key] is not None) or "neither"
        expected = "either sweep (a definition) or command (one run, or with runs one for each row)"
        raise ConfigError(f"{where}: found {'both' if found == 'sweep and command' else found}, expected {expected}")
    # What a run needs is a part of what it is, where that is known beforehand.
    identity: dict[str, Any] = {"needs": known} if (known := {key: run for key, run in needs.items() if run}) else {}
    if given is None:
        _check_macros([line], needs, where)
        if table is None:
            # Without parameters there is no macro: what looks like one is the command's own, but for ours.
            return None, [make_run(name, name, {}, [str(item) for item in line], identity)]
        return None, _runs_of_table(name, Path(table), line, f"{where}.command", identity)
    source = given if isinstance(given, str) else f"{where}.sweep"
    definition = sweep.check(load_yaml(Path(given)) if isinstance(given, str) else given, source)
    _check_macros([definition.definition.get("command"), definition.definition["parameters"]], needs, source)
    if definition.method == "bayes":
        return definition, []
    points = definition.points(section["count"], section["seed"])
    return definition, (_run_of_sweep(name, definition, point, identity) for point in points)


def _check_macros(given: Sequence[Any], needs: Mapping[str, str | None], where: str) -> None:
    for name in macros_in(given):
        if name not in needs:
            raise ConfigError(f"{where}: found ${{needs:{name}}}, expected {name} in the experiment's `needs`")


def _run_of_sweep(name: str, definition: Sweep, point: sweep.Parameters, identity: Mapping[str, Any]) -> Run:
    shown = " ".join(f"{one.name}={_at(point, one.path)}" for one in definition.shown)
    arguments = sweep.command(definition.definition, point, definition.where)
    macros = sweep.late_macros(definition.definition, point, definition.where)
    return make_run(name, shown, point, arguments, identity, macros)


def _runs_of_table(
    name: str, file: Path, line: Sequence[Any], where: str, identity: Mapping[str, Any]
) -> Iterable[Run]:
    template = {"command": line}
    sweep.check_command(template, where)
    rows = read_table(file)
    varying = [key for key in dict.fromkeys(key for row in rows for key in row) if _differs(rows, key)]
    for row in rows:
        shown = " ".join(f"{key}={row[key]}" for key in varying if key in row) or name
        arguments = sweep.command(template, row, where)
        yield make_run(name, shown, row, arguments, identity, sweep.late_macros(template, row, where))


def _differs(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    return len({_cell(row[key]) if key in row else None for row in rows}) > 1


def _at(point: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = point
    for level in path:
        value = value[level]
    return value


def make_run(  # noqa: PLR0913, PLR0917 - what a run is, in the order in which it is shown
    experiment: str,
    name: str,
    parameters: sweep.Parameters,
    command: list[str],
    identity: Mapping[str, Any] | None = None,
    macros: Sequence[int] = (),
) -> Run:
    """Make a run, with the id that follows from what it is; `identity` is what else makes it another one."""
    whole = {"experiment": experiment, "command": command, "parameters": parameters, **(identity or {})}
    # W&B refuses control characters nowhere but shows them badly; 128 characters is its limit for a run's name.
    shown = "".join(character if character.isprintable() else "?" for character in name)[:128]
    return Run(short_hash(whole, 12), shown or experiment, parameters, tuple(command), tuple(macros))


def write_changed(file: Path, content: Any) -> None:
    """Write a JSON file, unless it says the same already."""
    try:
        same = json.loads(file.read_text()) == content
    except (FileNotFoundError, ValueError):
        same = False
    if not same:
        write_json(file, content)


def short_hash(value: Any, length: int) -> str:
    """Hash a JSON value to `length` characters of 0-9 and a-v: lower case, which every filesystem keeps apart."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest())
    digits = "0123456789abcdefghijklmnopqrstuv"
    return "".join(digits[(number >> 5 * position) & 31] for position in range(length))


def _cell(value: Any) -> str:
    # A text stands as it is unless it would break the table or look like something else; the rest is JSON.
    if isinstance(value, str) and value.isprintable() and value == value.strip():
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)

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
from runferry.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENTS = "environments"
"""The folder in results/ that is no experiment's."""


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


@dataclass(frozen=True)
class Experiment:
    """A named set of runs that share a command."""

    name: str
    workdir: Path
    """Where the command runs; relative to the folder that Snakemake works in."""
    runs: Mapping[str, Run]
    """By id, in the order of the sweep."""
    cores: int | None
    """None leaves it to the cluster, as the next two."""
    gpus: int
    gpu: str | None
    """The GPU model or MIG instance."""
    memory: int | None
    """In MiB."""
    time: int
    """In minutes."""
    wandb: Mapping[str, Any]
    """The config's `wandb` section."""
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

    @cached_property
    def digest(self) -> str:
        """A hash of all that `write` would write, so that Snakemake sees when it has to be written again."""
        return short_hash([self._record(run) for run in self.runs.values()], 16)

    def write(self, runs_file: Path) -> None:
        """Write `run.json` for every run, then the list of them: `runs_file`, tab-separated with a header.

        Parameters
        ----------
        runs_file
            `results/<experiment>/runs.tsv`; the runs' folders are beside it. A `run.json` that says the same already
            is left alone.
        """
        for run in self.runs.values():
            file = RunFolder(runs_file.parent / run.id).run_file
            record = self._record(run)
            try:
                same = json.loads(file.read_text()) == record
            except (FileNotFoundError, ValueError):
                same = False
            if not same:
                write_json(file, record)
        names = list(dict.fromkeys(name for run in self.runs.values() for name in run.parameters))
        rows = [["id", "name", *names]]
        rows += [
            [
                run.id,
                run.name,
                *(_cell(run.parameters[name]) if name in run.parameters else "" for name in names),
            ]
            for run in self.runs.values()
        ]
        write_atomically(runs_file, "".join("\t".join(row) + "\n" for row in rows))

    def _record(self, run: Run) -> dict[str, Any]:
        return {
            "id": run.id,
            "name": run.name,
            "experiment": self.name,
            "command": list(run.command),
            "parameters": run.parameters,
            "workdir": str(self.workdir.resolve()),
            # Relative to the run's folder, so that results/ can be moved.
            "environment": f"../../{ENVIRONMENTS}/{self.environment}.json" if self.environment else None,
            "modules": list(self.modules),
            "warning": {"signal": self.warning_signal, "seconds": self.warning_seconds},
            "wandb": {**self.wandb, "group": self.name},
            **({"nodes": self.nodes} if self.nodes > 1 else {}),
            **({"gpus": self.gpus} if self.gpus else {}),
            **({"stage": [item.as_record() for item in self.stage]} if self.stage else {}),
            **({"collect": list(self.collect)} if self.collect else {}),
        }


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
    made: dict[str, Experiment] = {}
    owners: dict[str, str] = {}
    for name, section in config["experiments"].items():
        # Names that differ only in case are one folder on some filesystems, and one group to the eye.
        key = name.casefold()
        if key == ENVIRONMENTS or key in owners:
            taken = f"another experiment's ({owners[key]})" if key in owners else "the folder of the environments"
            raise ConfigError(f"config: experiments.{name}: found a name that is {taken}, expected one of its own")
        owners[key] = name
        made[name] = replace(
            _experiment(name, section, config), environment=plan.of_experiment[name], modules=plan.modules[name]
        )
    return made


def _experiment(name: str, section: Mapping[str, Any], config: Mapping[str, Any]) -> Experiment:
    where = f"config: experiments.{name}"
    workdir = Path(section["workdir"])
    if not workdir.is_dir():
        raise ConfigError(f"{where}.workdir: found no folder {workdir}, expected the folder that the command runs in")
    runs: dict[str, Run] = {}
    for run in _runs(name, section, where):
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
        wandb=config["wandb"],
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
    )


def _runs(name: str, section: Mapping[str, Any], where: str) -> list[Run]:
    given, line = section["sweep"], section["command"]
    if (given is None) == (line is None):
        found = "neither" if given is None else "both"
        raise ConfigError(f"{where}: found {found}, expected either sweep (a definition) or command (one run)")
    if line is not None:
        return [_run(name, name, {}, [str(item) for item in line])]
    if isinstance(given, str):
        source = given
        definition = sweep.check(load_yaml(Path(given)), source)
    else:
        source = f"{where}.sweep"
        definition = sweep.check(given, source)
    shown = sweep.varying(definition) or list(definition["parameters"])
    return [
        _run(
            name,
            " ".join(f"{key}={parameters[key]}" for key in shown),
            parameters,
            sweep.command(definition, parameters, source),
        )
        for parameters in sweep.grid(definition, source)
    ]


def _run(experiment: str, name: str, parameters: sweep.Parameters, command: list[str]) -> Run:
    identity = {"experiment": experiment, "command": command, "parameters": parameters}
    # W&B refuses control characters nowhere but shows them badly; 128 characters is its limit for a run's name.
    shown = "".join(character if character.isprintable() else "?" for character in name)[:128]
    return Run(id=short_hash(identity, 12), name=shown or experiment, parameters=parameters, command=tuple(command))


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

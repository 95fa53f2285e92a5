"""Read all experiments of a config."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config.alternatives import alternatives_of, fields_of
from runferry.config.data import check_inside, items_of
from runferry.config.environments import plan_environments
from runferry.config.experiment import Experiment
from runferry.config.loading import load_yaml
from runferry.config.names import ENVIRONMENTS, WANDB
from runferry.config.needs import check_needs, macros_in
from runferry.config.rounds import Rounds
from runferry.config.run import RunDefinition, cell_text, make_run, run_of_sweep
from runferry.config.search.search import Search, best_engine, check_engine
from runferry.config.sweep import definition as sweep_definition
from runferry.config.sweep import macros
from runferry.config.table import read_table
from runferry.config.variables import check_variables
from runferry.errors import ConfigError
from runferry.system.text import seconds
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runferry.config.sweep.definition import Sweep


def experiments(config: Mapping[str, Any]) -> dict[str, Experiment]:
    """Make the experiments of a validated config (see `runferry.config.loading.validate`), by name.

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
    runs: dict[str, RunDefinition] = {}
    for run in made_of:
        if run.id in runs:
            message = f"{where}: found two runs with the id {run.id} (both {run.name!r}), expected each value once"
            raise ConfigError(message)
        runs[run.id] = run
    resources, warning = section["resources"], section["warning"]
    # `off` is YAML's false.
    packing: Mapping[str, Any] = section["packing"] if is_mapping(section["packing"]) else {}
    switched_off = 1 if section["packing"] is False else None
    _check_macros(list(section["variables"].values()), needs, f"{where}.variables")
    alternatives = alternatives_of(resources, f"{where}.resources")
    return Experiment(
        name=name,
        workdir=workdir,
        runs=runs,
        # Where there are several, the first.
        **(alternatives[0].fields if alternatives else fields_of(resources, f"{where}.resources")),
        any_of=alternatives,
        gpus=resources["gpus"],
        tracker=config.get("tracker", WANDB),
        tracker_settings=config[config.get("tracker", WANDB)],
        nodes=resources["nodes"],
        tasks=resources["tasks"],
        gpus_per_task=resources["gpus_per_task"],
        side_by_side=packing.get("side_by_side", switched_off),
        one_after_another=packing.get("one_after_another", switched_off),
        share_gpu=packing.get("share_gpu") or 1,
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
        search=_search(definition, section),
        needs=tuple(needs),
        pinned=config.get("code") == "pinned",
        variables=check_variables(
            section["variables"], f"{where}.variables", has_data=bool(section["stage"] or section["collect"])
        ),
    )


def _rounds(definition: Sweep | None, section: Mapping[str, Any]) -> Rounds | None:
    """Return the rounds of a bayes sweep that is to have them: the config says how many runs each has."""
    if definition is None or section["runs_per_round"] is None or not definition.is_searched:
        return None
    if definition.scheduler:
        message = f"{definition.where}: scheduler: found it with runs_per_round, expected one of the two"
        raise ConfigError(f"{message}: an engine is asked for one point at a time, `parallel` runs at most")
    return Rounds(definition.count(section["count"]), section["runs_per_round"], section["seed"])


def _search(definition: Sweep | None, section: Mapping[str, Any]) -> Search | None:
    """Return the search of a sweep whose points follow from results, unless it has rounds."""
    if definition is None or section["runs_per_round"] is not None or not definition.is_searched:
        return None
    engine = definition.scheduler["engine"] if definition.scheduler else best_engine(definition.parameters)
    check_engine(engine, definition.where)
    return Search(definition.count(section["count"]), section["parallel"], section["seed"], engine)


def _needs(section: Mapping[str, Any], where: str, made: Mapping[str, Experiment]) -> dict[str, str | None]:
    """Return the needed experiments, each with the id of its only run; None where the best of several is used."""
    needs: dict[str, str | None] = {}
    for name in section["needs"]:
        needed = made[name]
        needs[name] = next(iter(needed.runs)) if len(needed.runs) == 1 else None
        if needs[name] is None and needed.metric is None:
            many = f"{len(needed.runs)} runs" if needed.runs else "a search"
            message = f"{where}.needs: found {name}, which has {many}, expected one run, or `metric` in its sweep"
            raise ConfigError(f"{message}, by which the best is chosen")
    return needs


def _source(
    name: str, section: Mapping[str, Any], where: str, needs: Mapping[str, str | None]
) -> tuple[Sweep | None, Iterable[RunDefinition]]:
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
    definition = sweep_definition.check(load_yaml(Path(given)) if isinstance(given, str) else given, source)
    _check_macros([definition.definition.get("command"), definition.definition.get("parameters")], needs, source)
    if definition.is_searched:
        return definition, []
    points = definition.points(section["count"], section["seed"])
    return definition, (run_of_sweep(name, definition, point, identity) for point in points)


def _check_macros(given: Sequence[Any], needs: Mapping[str, str | None], where: str) -> None:
    for name in macros_in(given):
        if name not in needs:
            raise ConfigError(f"{where}: found ${{needs:{name}}}, expected {name} in the experiment's `needs`")


def _runs_of_table(
    name: str, file: Path, line: Sequence[Any], where: str, identity: Mapping[str, Any]
) -> Iterable[RunDefinition]:
    template = {"command": line}
    macros.check_command(template, where)
    rows = read_table(file)
    varying = [key for key in dict.fromkeys(key for row in rows for key in row) if _differs(rows, key)]
    for row in rows:
        shown = " ".join(f"{key}={row[key]}" for key in varying if key in row) or name
        arguments = macros.command(template, row, where)
        yield make_run(name, shown, row, arguments, identity, macros.late_macros(template, row, where))


def _differs(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    return len({cell_text(row[key]) if key in row else None for row in rows}) > 1

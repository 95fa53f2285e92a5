"""Replace the macros of a command whose values are known only on the node."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.config.data import MACRO as DATA
from runferry.config.data import SCRATCH
from runferry.config.needs import replace_needs
from runferry.errors import LaunchError
from runferry.system.files import beside
from runferry.system.values import is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.runs.run_record import RunRecord


SHARED_FOLDER = "runferry"
"""In the node-local folder: what the runs of a job share, and a folder for each of them."""


@dataclass(frozen=True)
class Places:
    """The folders of a run on this node."""

    scratch: Path
    """Node-local; the runs of one job may share it."""
    data: Path | None
    """The run's `$RUNFERRY_DATA`; None where it neither stages nor collects."""

    @classmethod
    def of_run(cls, run: RunRecord, scratch: Path) -> Places:
        """Return the places of a run, of which none is made."""
        wanted = run.stage or run.collect
        return cls(scratch, scratch / SHARED_FOLDER / f"data-{run.id}-{os.getpid()}" if wanted else None)

    @property
    def shared(self) -> Path:
        """Return the folder of runferry's own files; not made."""
        return self.scratch / SHARED_FOLDER


def replace_late_macros(run: RunRecord, folder: Path, variables: Mapping[str, str], places: Places) -> list[str]:
    """Return a run's command with those macros replaced whose values are known only on this node.

    Parameters
    ----------
    run
        The content of `run.json`.
    folder
        Of the run.
    variables
        What `${envvar:NAME}` is taken from; one that is not there is its own name, as W&B's agent has it.
    places
        On this node.

    Raises
    ------
    LaunchError
        When a result that the run needs is not there.
    """
    command = list(run.command)
    for place in run.macros:
        # Only here: a job's start need not wait for it.
        from runferry.config.sweep.macros import ARGUMENTS_FILE, ENVIRONMENT_VARIABLE

        if command[place] == ARGUMENTS_FILE:
            command[place] = _arguments_file(run, places)
        else:
            command[place] = ENVIRONMENT_VARIABLE.sub(lambda match: variables.get(match[1], match[1]), command[place])
    # Anywhere in an argument, in a parameter's value too.
    command = [argument.replace(SCRATCH, str(places.scratch)) for argument in command]
    if places.data:
        command = [argument.replace(DATA, str(places.data)) for argument in command]
    needs: Mapping[str, str] = run.needs
    if not needs:
        return command
    paths = {name: str(_checkpoints(folder, file, name)) for name, file in needs.items()}
    return [replace_needs(argument, lambda name: paths.get(name, f"${{needs:{name}}}")) for argument in command]


def own_variables(run: RunRecord, folder: Path, variables: Mapping[str, str], places: Places) -> dict[str, str]:
    """Return the variables that the config gives a run, with their macros replaced.

    Parameters and exceptions are those of `replace_late_macros`.
    """
    if not run.variables:
        return {}
    # Only here: a job's start need not wait for it.
    from runferry.config.sweep.macros import ARGUMENTS_FILE, ENVIRONMENT_VARIABLE
    from runferry.config.variables import expand

    def late(macro: str) -> str:
        if found := ENVIRONMENT_VARIABLE.fullmatch(macro):
            return variables.get(found[1], found[1])
        if macro == ARGUMENTS_FILE:
            return _arguments_file(run, places)
        if macro == SCRATCH:
            return str(places.scratch)
        if macro == DATA and places.data:
            return str(places.data)
        return replace_needs(macro, lambda name: str(_checkpoints(folder, run.needs[name], name)))

    parameters = run.parameters
    return {name: expand(text, parameters, late) for name, text in run.variables.items()}


def sweep_variables(run: RunRecord, node_folder: Path) -> dict[str, str]:
    """Return the variable that passes the run's parameters to `wandb.config`, as W&B's agent does.

    A script need not read its arguments then.
    """
    # A run.json that somebody wrote by hand may have none.
    if not run.parameters:
        return {}
    content = {"wandb_version": 1, **{name: {"value": value} for name, value in run.parameters.items()}}
    return {"WANDB_SWEEP_PARAM_PATH": str(_write(run, "config.yaml", as_yaml(content), node_folder))}


def as_yaml(value: Any) -> str:
    """Encode a JSON value as YAML 1.1, which wandb reads, on one line.

    All JSON is meant to be YAML, but there `1e-05` is a text, and of a character in two escapes each half is one.
    Without a YAML library: its import costs every job's start some 20 ms.
    """
    if is_mapping(value):
        return "{" + ", ".join(f"{as_yaml(key)}: {as_yaml(item)}" for key, item in value.items()) + "}"
    if is_list(value):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return text if "." in text else text.replace("e", ".0e")
    return re.sub(r"[^ -~]", lambda match: f"\\U{ord(match[0]):08x}", text)


def _arguments_file(run: RunRecord, places: Places) -> str:
    return str(_write(run, "arguments.json", json.dumps(run.parameters), places.shared))


def _write(run: RunRecord, name: str, content: str, node_folder: Path) -> Path:
    stem, _, suffix = name.partition(".")
    file = node_folder / f"{stem}-{run.id}-{os.getpid()}.{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def _checkpoints(folder: Path, best_file: str, name: str) -> Path:
    # Only here: a job's start need not wait for it.
    from runferry.config.best_record import BestRecord

    file = beside(folder, best_file)
    try:
        best = BestRecord.read(file).run
    except (OSError, ValueError) as error:
        message = f"needs: found no result of {name} ({file}), expected it to be trained before"
        raise LaunchError(message) from error
    return file.parent / best / "checkpoints"

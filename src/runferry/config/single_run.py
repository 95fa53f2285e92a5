"""Make a run that no config names: a command with a folder of its own, for a script, a wrapper or the API."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config.experiment import Experiment
from runferry.config.names import OFFLINE
from runferry.config.run import make_run, write_changed
from runferry.config.sweep import macros
from runferry.config.texts import check_texts
from runferry.config.wandb_settings import stored_settings
from runferry.errors import ConfigError
from runferry.runs.folder import RunFolder
from runferry.runs.run_record import RunRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_PROJECT = "uncategorized"
"""Where wandb puts runs without a project."""


def make_single_run(  # noqa: PLR0913 - each is a keyword with a default
    folder: str | os.PathLike[str],
    command: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    workdir: str | os.PathLike[str] = ".",
    environment: str | os.PathLike[str] | None = None,
    project: str | None = None,
    entity: str | None = None,
    tags: Sequence[str] = (),
) -> RunFolder:
    """Make the folder of a run of one command, with W&B offline; a repeated call changes nothing.

    The parameters, and what is raised, are those of `runferry.api.create_run`.
    """
    # As the launcher has it, for which paths in the record are relative to the folder.
    path = Path(folder).resolve()
    experiment = path.parent.name
    if not command or not experiment:
        found = "no command" if experiment else "no experiment"
        message = f"{folder}: found {found}, expected a run's folder, results/<experiment>/<run>, and a command"
        raise ConfigError(message)
    if isinstance(command, str):
        raise ConfigError(f"{folder}: found the command {command!r}, expected a list with one argument an item")
    for what, value in (("name", name), ("project", project), ("entity", entity), ("tags", list(tags))):
        check_texts(value, f"{folder}: {what}")
    template, given = {"command": list(command)}, dict(parameters or {})
    macros.check_command(template, "command")
    run = make_run(
        experiment,
        name or path.name,
        given,
        macros.command(template, given, "command"),
        {"folder": path.name},
        macros.late_macros(template, given, "command"),
    )
    # What wandb would take online.
    own = stored_settings(Path(workdir, "wandb", "settings").absolute())
    owner = Experiment(
        name=experiment,
        workdir=Path(workdir),
        runs={run.id: run},
        cores=None,
        gpus=0,
        gpu=None,
        memory=None,
        time=0,
        tracker_settings={
            "project": project or os.environ.get("WANDB_PROJECT") or own.get("project") or DEFAULT_PROJECT,
            "entity": entity or os.environ.get("WANDB_ENTITY") or own.get("entity"),
            "tags": list(tags),
            "mode": OFFLINE,
            "base_url": None,
        },
        environment=None,
    )
    record = owner.record_of(run)
    if environment is not None:
        record = replace(record, environment=_relative(Path(environment), path))
    made = RunFolder(path)
    _check_same(made, record)
    write_changed(made.run_file, record.to_json())
    return made


def _relative(environment: Path, folder: Path) -> str:
    """Return the path of an environment's record, relative to the folder of a run."""
    if not environment.is_file():
        message = f"{environment}: found no such file, expected the record of an environment"
        raise ConfigError(f"{message}, as runferry environment writes it")
    return os.path.relpath(environment.parent.resolve() / environment.name, folder)


def _check_same(folder: RunFolder, wanted: RunRecord) -> None:
    """Refuse to give the folder of one run to another: what it has on disk would become a part of the other."""
    try:
        there = RunRecord.read(folder.run_file)
    except FileNotFoundError:
        return
    except ValueError as error:
        found = f"{folder.run_file}: found no run record in it ({error})"
        raise ConfigError(f"{found}, expected one, or no such file; give another folder") from error
    if there.id != wanted.id:
        found = f"found the run of another command there ({shlex.join(there.command) or 'an adopted one'})"
        raise ConfigError(f"{folder.path}: {found}, expected {shlex.join(wanted.command)}; give another folder")

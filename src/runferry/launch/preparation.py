"""Put the environment and the data of a run onto the node before its command starts."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.config.data import SCRATCH, Item
from runferry.launch.macros import SHARED_FOLDER, Places, replace_late_macros, sweep_variables
from runferry.launch.node_files import wait_for_file
from runferry.system.files import beside

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry.launch.staging import Staging
    from runferry.runs.run_record import RunRecord


@dataclass(frozen=True)
class Prepared:
    """The command as prepared for this node, with its variables, environment and data."""

    command: list[str]
    variables: dict[str, str]
    environment: str | None = None
    """The key of the packed environment or of the image."""
    data: Path | None = None
    """The folder of `$RUNFERRY_DATA`; None where the run neither stages nor collects."""
    contained: bool = False
    """Whether the command runs in a container, where its wandb is not to be reached."""


def prepare(
    run: RunRecord, folder: Path, variables: dict[str, str], scratch: Path, note: Callable[[str], object]
) -> Prepared:
    """Unpack the environment and stage the data of a run on this node, at the same time.

    Parameters
    ----------
    run
        The content of `run.json`.
    folder
        Of the run.
    variables
        Of the command, so far.
    scratch
        Node-local; the runs of one job may share it.
    note
        Takes a line for the run's log.

    Raises
    ------
    PackingError
        When the environment cannot be unpacked, or the disk has too little room.
    LaunchError
        When the data cannot be staged, or a result that the run needs is not there.
    """
    items = [Item.from_record(record) for record in run.stage]
    places = Places.of_run(run, scratch)
    shared = places.shared
    command = replace_late_macros(run, folder, variables, places)
    variables = {**variables, **sweep_variables(run, shared)}
    record_file = beside(folder, run.environment) if run.environment else None
    if record_file:
        wait_for_file(record_file)
    data = places.data
    if data is None:
        return _in_environment(run, folder, Prepared(command, variables), scratch, record_file)
    from runferry.launch.staging import Staging

    data.mkdir(parents=True)
    staging = Staging(items, shared, note)
    given = Prepared(command, {**variables, "RUNFERRY_DATA": str(data)}, data=data)
    _check_room(scratch, record_file, staging)
    staging.start()
    try:
        prepared = _in_environment(run, folder, given, scratch, record_file)
        staged = staging.finish()
    except BaseException:
        staging.cancel()
        raise
    for to, place in staged.items():
        link = data / to
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place)
    return prepared


def _in_environment(run: RunRecord, folder: Path, given: Prepared, scratch: Path, record_file: Path | None) -> Prepared:
    """Have `given.command` run in the environment."""
    if record_file is None:
        return given
    command, variables = given.command, given.variables
    # Only here: a run without an environment needs neither of them, nor zstandard.
    from runferry.environment.container import Contained, read_container

    if container := read_container(record_file):
        shared = scratch / SHARED_FOLDER
        folders = [folder.resolve(), *([shared] if shared.is_dir() else [])]
        if run.code_root:
            # What the snapshot leads to.
            folders.append(Path(run.code_root))
        if SCRATCH in json.dumps([run.command, run.variables]):
            folders.append(scratch)
        contained = Contained(container.image, scratch, Path(run.workdir), folders, gpu=run.gpus > 0)
        whole = contained.command(command, variables.get("PATH", os.defpath))
        return replace(
            given,
            command=whole,
            variables=contained.variables(variables, run.variables),
            environment=container.key,
            contained=True,
        )
    from runferry.environment.archive import unpack

    unpacked = unpack(record_file, scratch)
    key = unpacked.name.removeprefix("environment-")
    path = os.pathsep.join([str(unpacked / "bin"), variables.get("PATH", os.defpath)])
    return replace(given, variables={**variables, "VIRTUAL_ENV": str(unpacked), "PATH": path}, environment=key)


def _check_room(scratch: Path, record_file: Path | None, staging: Staging) -> None:
    """Refuse the two together where each of them alone would fit."""
    from runferry.environment.container import read_container
    from runferry.environment.record import read_record
    from runferry.system.disk_space import check_room

    needed = staging.missing_bytes()
    if record_file is not None and read_container(record_file) is None:
        record = read_record(record_file)
        if not (scratch / f"environment-{record.key}").is_dir():
            needed += record.unpacked_bytes
    check_room(scratch, needed, "the environment and the data")

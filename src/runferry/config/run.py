"""Make the definition of a run: its id, name, parameters and command."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from runferry.config.names import SWEEP_FILE
from runferry.config.sweep import macros as sweep_macros
from runferry.config.sweep import parameter
from runferry.config.texts import check_texts
from runferry.system.files import write_atomically, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runferry.config.sweep.definition import Sweep
    from runferry.runs.run_record import RunRecord


@dataclass(frozen=True)
class RunDefinition:
    """One point of an experiment: a run's id, name, parameters and command."""

    id: str
    """The W&B run id and the `{run}` wildcard."""
    name: str
    """What W&B shows: the parameters that tell the runs apart."""
    parameters: parameter.Parameters
    command: tuple[str, ...]
    """The arguments, from the program's name to the last; never a shell's line."""
    macros: tuple[int, ...] = ()
    """The positions of arguments with a macro for the launcher (`runferry.config.sweep.macros.late_macros`)."""

    def record(self, shared: RunRecord) -> RunRecord:
        """Return the content of `run.json`: what it says of every run of the experiment, with what it says of this."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(shared, **own)


def run_of_sweep(
    name: str, definition: Sweep, point: parameter.Parameters, identity: Mapping[str, Any]
) -> RunDefinition:
    """Make the run of a sweep's point, named after the parameters that differ.

    Parameters
    ----------
    name
        Of the experiment.
    definition
        The sweep.
    point
        The value of each parameter.
    identity
        What else makes the run what it is, for its id.
    """
    shown = " ".join(f"{one.name}={_at(point, one.path)}" for one in definition.shown)
    if not definition.parameters:
        # Which there are, each point says itself.
        shown = " ".join(f"{key}={value}" for key, value in point.items())
    arguments = sweep_macros.command(definition.definition, point, definition.where)
    macros = sweep_macros.late_macros(definition.definition, point, definition.where)
    return make_run(name, shown, point, arguments, identity, macros)


def _at(point: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = point
    for level in path:
        value = value[level]
    return value


def make_run(  # noqa: PLR0913, PLR0917 - what a run is, in the order in which it is shown
    experiment: str,
    name: str,
    parameters: parameter.Parameters,
    command: list[str],
    identity: Mapping[str, Any] | None = None,
    macros: Sequence[int] = (),
) -> RunDefinition:
    """Make a run, whose id is a hash of the experiment, the command, the parameters and `identity`.

    Raises
    ------
    ConfigError
        When a parameter or an argument has a NUL or a lone surrogate in it.
    """
    whole = {"experiment": experiment, "command": command, "parameters": parameters, **(identity or {})}
    check_texts(parameters, f"{experiment}: parameters")
    check_texts(command, f"{experiment}: command")
    # W&B refuses control characters nowhere but shows them badly; 128 characters is its limit for a run's name.
    shown = "".join(character if character.isprintable() else "?" for character in name)[:128]
    return RunDefinition(short_hash(whole, 12), shown or experiment, parameters, tuple(command), tuple(macros))


def write_changed(file: Path, content: Any) -> None:
    """Write a JSON file, unless it has that content already."""
    try:
        same = json.loads(file.read_text()) == content
    except (FileNotFoundError, ValueError):
        same = False
    if not same:
        write_json(file, content)


def write_table(runs_file: Path, runs: Sequence[RunDefinition], definition: Mapping[str, Any] | None) -> None:
    """Write the table of an experiment's runs, tab-separated with a header, and its sweep definition beside it."""
    if definition is not None:
        # For `sync`, which can make the sweep on the server.
        write_changed(runs_file.parent / SWEEP_FILE, definition)
    names = list(dict.fromkeys(name for run in runs for name in run.parameters))
    rows = [["id", "name", *names]]
    rows += [
        [run.id, run.name, *(cell_text(run.parameters[name]) if name in run.parameters else "" for name in names)]
        for run in runs
    ]
    write_atomically(runs_file, "".join("\t".join(row) + "\n" for row in rows))


def short_hash(value: Any, length: int) -> str:
    """Hash a JSON value to `length` characters of 0-9 and a-v: lower case, as some filesystems ignore case."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest())
    digits = "0123456789abcdefghijklmnopqrstuv"
    return "".join(digits[(number >> 5 * position) & 31] for position in range(length))


def cell_text(value: Any) -> str:
    """Return a value as the text of a cell of runs.tsv."""
    # A text stands as it is unless it would break the table or look like something else; the rest is JSON.
    if isinstance(value, str) and value.isprintable() and value == value.strip():
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)

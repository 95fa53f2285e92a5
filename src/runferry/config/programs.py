"""Find the script that an experiment's command runs, and refuse one that is not there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError
from runferry.system.text import suggest
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runferry.config.experiment import Experiment

_INTERPRETER = re.compile(r"(python(3(\.\d+)?)?|bash|sh)")
_LAUNCHERS = ("torchrun", "accelerate", "deepspeed", "srun")
_SCRIPT = re.compile(r"[^-=$]*\.(py|sh)")
_WITH_VALUE = ("-W", "-X")


def script_of(experiment: Experiment) -> Path | None:
    """Return the path of the script that an experiment's command runs, in its working folder; None for no script.

    Nor is one found where its name is known on the node only, or the command is a module or a program on PATH.
    """
    name = _script_in(_command(experiment))
    return experiment.workdir / name if name else None


def check_program(experiment: Experiment, config: Mapping[str, Any]) -> None:
    """Refuse a command whose script is not there: its jobs would wait in the queue for nothing.

    Parameters
    ----------
    experiment
        Its command is looked at.
    config
        The checked one: in a container there may be what is not here.

    Raises
    ------
    ConfigError
        When the file is missing.
    """
    script = script_of(experiment)
    if script is None or script.exists():
        return
    own = config["experiments"][experiment.name]["environment"]
    sections = [config["environment"], *config["environments"].values(), own]
    if any(is_mapping(section) and section.get("container") for section in sections):
        return
    where, folder = f"config: experiments.{experiment.name}", script.parent
    there = [file.name for file in folder.glob(f"*{script.suffix}")] if folder.is_dir() else []
    message = f"{where}: found no file {script}{suggest(script.name, there)}"
    raise ConfigError(f"{message}, expected the script that its command runs: {shlex.join(_command(experiment)[:4])}")


def _command(experiment: Experiment) -> list[str]:
    run = next(iter(experiment.runs.values()), None)
    if run:
        return [word for place, word in enumerate(run.command) if place not in run.macros]
    # A bayes sweep, whose runs are chosen while it goes on.
    definition: Mapping[str, Any] = experiment.sweep.definition if experiment.sweep else {}
    words = {"${program}": str(definition.get("program", "")), "${interpreter}": "python", "${env}": "/usr/bin/env"}
    items: Sequence[Any] = definition.get("command") or list(words)
    return [words.get(str(item), str(item)) for item in items if str(item) in words or not str(item).startswith("${")]


def _script_in(command: Sequence[str]) -> str | None:
    words = list(command)
    while words and (Path(words[0]).name == "env" or re.fullmatch(r"[A-Za-z_]\w*=.*", words[0])):
        del words[0]
    if not words:
        return None
    first = Path(words[0]).name
    if first in _LAUNCHERS:
        return next((word for word in words[1:] if _SCRIPT.fullmatch(word)), None)
    if not _INTERPRETER.fullmatch(first):
        return words[0] if _SCRIPT.fullmatch(words[0]) else None
    rest = iter(words[1:])
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, None)
        elif word.startswith("-"):
            if word.startswith(("-m", "-c")) or word == "-":
                return None
        else:
            return word if _SCRIPT.fullmatch(word) else None
    return None

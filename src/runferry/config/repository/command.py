"""Work out the command and the parameters of a first sweep from a script, and from the command of a job script."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.config.repository.shell import VARIABLE, node_text
from runferry.config.sweep.macros import DEFAULT_COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.config.repository.job_script import JobScript
    from runferry.config.repository.parameters import Parameters
    from runferry.config.repository.scripts import Script

_MACRO = {"args": "${args}", "args_no_hyphens": "${args_no_hyphens}"}
_TASK = re.compile(r"\$\{?SLURM_ARRAY_TASK_ID\}?")


@dataclass
class FirstSweep:
    """The command of a first sweep, and its parameters."""

    words: list[str]
    """Before the parameters."""
    parameters: Parameters
    varied: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    fixed: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the job script passes."""
    notes: list[str] = field(default_factory=list[str])

    @property
    def command(self) -> list[str]:
        """Return the command as a sweep definition writes it."""
        macro = _MACRO.get(self.parameters.how)
        return [*self.words, *([macro] if macro else [])]

    @property
    def program(self) -> str | None:
        """Return the program, where the command is W&B's default one."""
        plain = self.parameters.how == "args" and len(self.words) == 2 and self.words[0] == "python"
        return self.words[1] if plain and self.words[1].endswith(".py") else None

    @property
    def defaults(self) -> dict[str, Any]:
        """Return the parameters that stay at the script's own defaults."""
        return {
            name: value
            for name, value in self.parameters.defaults.items()
            if name not in self.varied and name not in self.fixed
        }


def first_sweep(
    script: Script, parameters: Parameters, job: JobScript | None, words: list[str], file_name: Path
) -> FirstSweep:
    """Work out a first sweep: two values of one parameter, the others as they are.

    Parameters
    ----------
    script, parameters
        What is started, and what it takes.
    job
        The user's job script, if any: its command comes before `words`.
    words
        The command without parameters.
    file_name
        Of the sweep, for what is said about it.
    """
    sweep = FirstSweep(words, parameters)
    if job:
        _take_from(sweep, job, job.command({str(script.file), script.file.name, f"./{script.file}"}))
    if not sweep.varied:
        found = parameters.varied()
        if found and found[0] in sweep.fixed:
            # Around what the user has today.
            given = sweep.fixed.pop(found[0])
            number = isinstance(given, int | float) and given
            sweep.varied = {found[0]: [given, float(f"{given / 10:.6g}")] if number else [given]}
        elif found:
            sweep.varied = dict([found])
    missing = [name for name in parameters.required if name not in sweep.fixed and name not in sweep.varied]
    missing = [name for name in missing if not any(f"--{name}" in word for word in sweep.words)]
    if missing:
        options = ", ".join(f"--{name}" for name in missing)
        sweep.notes.append(f"{script.file} has to be passed {options}: add it to {file_name} before you start")
    return sweep


def _take_from(sweep: FirstSweep, job: JobScript, words: list[str]) -> None:
    """Take the command of a job script; what it passes to known options becomes a parameter."""
    known = {*sweep.parameters.defaults, *sweep.parameters.required}
    kept: list[str] = []
    words = [_filled(word, job.shell) for word in words]
    while words:
        word = words.pop(0)
        name, has_value, value = word.removeprefix("--").partition("=")
        if not (word.startswith("--") and name in known and sweep.parameters.how == "args"):
            kept.append(word)
            continue
        value = value if has_value or not words else words.pop(0)
        if VARIABLE.search(value) and not _TASK.fullmatch(value):
            # Only the command has what the node knows; a parameter's value would be taken as it is written.
            kept.append(f"--{name}={value}")
        elif _TASK.fullmatch(value) and (values := array_indices(job.options.get("array", ""))):
            sweep.varied[name] = values
        else:
            sweep.fixed[name] = _typed(value)
    staged = {source.name for source in job.staged}
    for word in kept:
        if _TASK.search(word):
            sweep.notes.append(f"{job.file}: {word} is the index of an array; make it a parameter of the sweep")
        elif node_text(word) is None:
            sweep.notes.append(f"{job.file}: {word} needs a shell, and no shell reads the command; write its value")
    sweep.words = [node_text(word, staged) or word for word in kept]


def array_indices(text: str) -> list[int]:
    """List the indices of `sbatch --array`, such as `0-3` or `1,5,7%2`; none for a form that is not known."""
    indices: list[int] = []
    for part in text.partition("%")[0].split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?(?::(\d+))?", part.strip())
        if match is None:
            return []
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        indices += range(first, last + 1, max(step, 1))
    return indices[:1000]


def _typed(text: str) -> Any:
    """Read a number as such; YAML knows no `1e-3`."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _filled(word: str, shell: Mapping[str, str]) -> str:
    """Put in the values that the job script gives to its own variables."""
    return VARIABLE.sub(lambda match: shell.get(match[1], match[0]), word)


def command_of_script(script: Script, scripts: Mapping[str, str], *, installed: bool) -> list[str]:
    """Return the command that starts a script, without parameters.

    Parameters
    ----------
    script
        The script.
    scripts
        The commands that the user's own package installs: name -> `module:function`.
    installed
        Whether the package is installed in the training environment.
    """
    parts = list(script.file.with_suffix("").parts)
    inside = parts[1:] if parts[0] == "src" else parts
    module = ".".join(inside)
    for name, target in scripts.items():
        if target.partition(":")[0] == module:
            return [name]
    return ["python", "-m", module] if installed and len(inside) > 1 else ["python", str(script.file)]


def plain_command(sweep: FirstSweep) -> list[str]:
    """Return the command of an experiment without a sweep."""
    return [word for word in sweep.command if word not in {*_MACRO.values(), *DEFAULT_COMMAND}]

"""Find the Python that an environment is built with, and the variables that its commands inherit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import ConfigError
from runferry.system.env_modules import variables_after_loading

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST = (3, 9)
"""What wandb 0.22 to 0.31 and the current virtualenv run on."""

_DESCRIBE = """
import json, sys, sysconfig
print(json.dumps([
    getattr(sys, "_base_executable", sys.executable),
    "%d.%d.%d" % sys.version_info[:3],
    sysconfig.get_platform() + " " + sys.implementation.cache_tag,
]))
"""
# What these would do is to put packages elsewhere than into the environment, or to make another Python of it.
_DROPPED = ("PIP_PREFIX", "PIP_ROOT", "PIP_TARGET", "PIP_USER", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine, not one of a virtual environment."""

    path: str
    version: str
    """Like "3.11.7"."""
    platform: str
    """Like "linux-x86_64 cpython-311"."""


def variables_for_build(modules: tuple[str, ...]) -> dict[str, str]:
    """Return the variables that virtualenv and pip get: this process's, after `module load` of `modules`.

    PIP_* is kept as the site sets it, but for what would install elsewhere. PYTHONPATH is kept only with modules,
    which use it for packages that a job finds again by loading them; without, a package that happens to be on it would
    be taken for installed and be missing in the job.

    Raises
    ------
    ConfigError
        When there is no `module` command or it cannot load one of them.
    """
    if modules:
        variables = variables_after_loading(modules, "environment.modules")
    else:
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {name: value for name, value in variables.items() if name not in _DROPPED}


def find_interpreter(python: str | None, variables: Mapping[str, str]) -> Interpreter:
    """Find the Python that the config asks for.

    Parameters
    ----------
    python
        Like "3.11": the python3.11 on PATH; None: the Python that runs this, or the base of its virtual environment.
    variables
        What `variables_for_build` returned; its PATH is searched.

    Raises
    ------
    ConfigError
        When it is not on PATH, does not start, or is another version than its name says; names what is on PATH.
    """
    if python is None:
        return describe(getattr(sys, "_base_executable", sys.executable), variables)
    if not re.fullmatch(r"3\.\d+", python):
        message = f'environment.python: found {python!r}; expected a version such as "3.11", or null'
        raise ConfigError(message)
    if tuple(map(int, python.split("."))) < OLDEST:
        message = f"environment.python: found {python}; expected {OLDEST[0]}.{OLDEST[1]} or newer, as wandb needs"
        raise ConfigError(message)
    refused: list[str] = []
    for folder in variables.get("PATH", os.defpath).split(os.pathsep):
        candidate = Path(folder) / f"python{python}"
        if not os.access(candidate, os.X_OK):
            continue
        try:
            interpreter = describe(str(candidate), variables)
        except ConfigError as error:
            refused.append(str(error).removeprefix("environment.python: expected one that works, found "))
            continue
        if interpreter.version.startswith(f"{python}."):
            return interpreter
        refused.append(f"{candidate} is Python {interpreter.version}")
    found = ", ".join(refused or _pythons_on(variables)) or "none at all"
    message = (
        f"environment.python: expected a python{python} on PATH; found {found}; "
        "name a version that is there, load its module (environment.modules), or leave environment.python out"
    )
    raise ConfigError(message)


def _pythons_on(variables: Mapping[str, str]) -> list[str]:
    found = {
        name
        for folder in variables.get("PATH", os.defpath).split(os.pathsep)
        if os.path.isdir(folder)  # noqa: PTH112 - PATH may hold empty strings, which Path takes for "."
        for name in os.listdir(folder)  # noqa: PTH208
        if re.fullmatch(r"python3\.\d+", name)
    }
    return sorted(found, key=lambda name: int(name.rpartition(".")[2]))


def describe(python: str, variables: Mapping[str, str]) -> Interpreter:
    """Return the base interpreter of a Python, or of a virtual environment's, by running it.

    Raises
    ------
    ConfigError
        When it does not start.
    """
    try:
        command = [python, "-I", "-c", _DESCRIBE]
        answer = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return Interpreter(*json.loads(answer.stdout))
        reason = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[0]
    except (OSError, ValueError, TypeError) as error:
        reason = str(error)
    message = f"environment.python: expected one that works, found {python}, which does not start: {reason}"
    raise ConfigError(message)

"""Environment modules as the doctor loads them: the variables afterwards, or why not."""

from __future__ import annotations

from runferry.doctor.finding import Finding
from runferry.errors import ConfigError
from runferry.modules import variables_after_loading

NO_COMMAND = "this machine has no `module` command"
"""In the message of `runferry.modules`."""


def load_module(name: str | None) -> dict[str, str] | str:
    """Load a module, where one is named; return the variables that a process then has, or why it cannot be loaded."""
    try:
        return variables_after_loading([name] if name else [], "modules")
    except ConfigError as error:
        return NO_COMMAND if NO_COMMAND in str(error) else str(error).removeprefix("modules: ")


def not_loaded(about: str, name: str, why: str, todo: str = "") -> Finding:
    """Word that a module of the cluster's facts cannot be loaded."""
    return Finding(about, name, "differs", why, f"module load {name} works", todo)

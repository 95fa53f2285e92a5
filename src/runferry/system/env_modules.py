"""Load environment modules: return the variables that a process has after `module load`.

`module` is a function of a shell, so a shell loads the modules and writes down its variables.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The variables go to a file, because what a login shell's profile prints would be among them on stdout.
_LOAD = """
type module >/dev/null 2>&1 || exit 90
file=$1; shift
module load "$@" >&2 || exit 91
env -0 >"$file"
"""
_NO_MODULE_COMMAND = 90

NO_COMMAND = "there is no `module` command"
"""In the message of `variables_after_loading` for a machine without one."""
# bash's own, of the shell that did it.
_THE_SHELLS = ("_", "SHLVL")


def variables_after_loading(
    modules: Sequence[str], where: str, variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the variables that a process has after `module load` of `modules`, in their order.

    Parameters
    ----------
    modules
        Their names; without any, the variables are returned as they are.
    where
        What asked for them, for messages, such as "environment.modules".
    variables
        Before; by default this process's.

    Raises
    ------
    ConfigError
        When there is no `module` command or it cannot load one of them.
    """
    before = dict(os.environ if variables is None else variables)
    if not modules:
        return before
    names = " ".join(modules)
    with tempfile.TemporaryDirectory(prefix="runferry-modules-") as folder:
        file = Path(folder) / "variables"
        arguments = ["-c", _LOAD, "bash", str(file), *modules]
        answer = _bash(arguments, before)
        if answer.returncode == _NO_MODULE_COMMAND:
            # Where the shell that started this exported no `module`, a login shell defines it.
            answer = _bash(["-l", *arguments], before)
        if answer.returncode == _NO_MODULE_COMMAND:
            raise ConfigError(f"{where}: found {names}, expected none where {NO_COMMAND}; leave them out here")
        if answer.returncode != 0 or not file.exists():
            said = " ".join(answer.stderr.split())[-300:]
            raise ConfigError(f"{where}: expected `module load {names}` to work, found: {said}")
        pairs = os.fsdecode(file.read_bytes()).split("\0")
    after = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    kept = {name: before[name] for name in _THE_SHELLS if name in before}
    return {name: value for name, value in after.items() if name not in _THE_SHELLS} | kept


def _bash(arguments: list[str], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", *arguments],
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )

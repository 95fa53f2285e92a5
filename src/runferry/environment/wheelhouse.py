"""Find the folders of the site's wheelhouse, and the versions that it has of a package."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_AVAIL_WHEELS_SECONDS = 60


def wheelhouse_folders(pip: Sequence[str], variables: Mapping[str, str]) -> list[Path]:
    """Ask pip for the folders of wheels that its configuration names (PIP_FIND_LINKS, PIP_CONFIG_FILE, pip.conf).

    Parameters
    ----------
    pip
        The command that starts pip.
    variables
        What it inherits.
    """
    answer = subprocess.run([*pip, "config", "list"], env=variables, capture_output=True, text=True, check=False)
    words: list[str] = []
    for line in answer.stdout.splitlines():
        key, _, value = line.partition("=")
        if key.endswith(".find-links"):
            words += str(ast.literal_eval(value)).split()
    return [Path(word.removeprefix("file://")) for word in dict.fromkeys(words) if "://" not in word[7:]]


def names_in_wheelhouse(name: str, python: str, variables: Mapping[str, str]) -> list[str]:
    """List the versions of a package in the site's wheelhouse, as "name version", by asking `avail_wheels`.

    Parameters
    ----------
    name
        As the requirement has it; `-`, `_` and `.` are the same, and what has more around it is found too.
    python
        The version, like "3.11".
    variables
        Of the build; `avail_wheels` is looked for on its PATH. Without one there are no names.
    """
    program = shutil.which("avail_wheels", path=variables.get("PATH", os.defpath))
    if program is None:
        return []
    pattern = f"*{re.sub(r'[-_.]+', '*', name)}*"
    try:
        answer = subprocess.run(
            [program, pattern, "--all_versions", "--python", python, "--column", "name", "version"],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=_AVAIL_WHEELS_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split() for line in answer.stdout.splitlines()]
    # A table: its head, a line of dashes, rows.
    begin = next((number + 1 for number, row in enumerate(rows) if row and set("".join(row)) <= set("-")), len(rows))
    return list(dict.fromkeys(" ".join(row[:2]) for row in rows[begin:] if len(row) >= 2))

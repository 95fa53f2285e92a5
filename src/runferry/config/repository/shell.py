"""Write what a shell would fill in as macros of the config, which no shell reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
"""A variable of the shell, as it stands in a script."""


def node_text(text: str, staged: Collection[str] = ()) -> str | None:
    """Return a text in which variables of the shell are macros of the config; None where a shell is needed.

    Parameters
    ----------
    text
        As it stands in a job script.
    staged
        Names of files and folders that the launcher puts onto the node in place of the script.
    """

    def macro(match: re.Match[str]) -> str:
        if match[1] != "SLURM_TMPDIR":
            return f"${{envvar:{match[1]}}}"
        first = re.split(r"[/=,:]", text[match.end() :].lstrip("/"), maxsplit=1)[0]
        return "${data}" if first in staged else "${scratch}"

    if "`" in text or "$(" in text or any(name != name.upper() for name in VARIABLE.findall(text)):
        return None
    return VARIABLE.sub(macro, text)

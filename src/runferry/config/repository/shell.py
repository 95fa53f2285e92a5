"""Write what a shell would fill in as macros of the config, which no shell reads."""

from __future__ import annotations

import re

VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
"""A variable of the shell, as it stands in a script."""


def node_text(text: str) -> str | None:
    """Return a text in which variables of the shell are macros of the config; None where a shell is needed."""
    if "`" in text or "$(" in text or any(name != name.upper() for name in VARIABLE.findall(text)):
        return None
    return VARIABLE.sub(r"${envvar:\1}", text)

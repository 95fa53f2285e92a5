"""Ask the environment modules for the newest one that brings a Python."""

from __future__ import annotations

import re

from runferry.doctor.answer import NoAnswerError, answer_of

# `module` is a function of a login shell; the list comes on stderr with one of its makers, on stdout with another.
_AVAILABLE = "type module >/dev/null 2>&1 && module --terse avail python 2>&1"
_VERSION = re.compile(r"^(python/3\.(\d+)(?:\.(\d+))?)\S*?(?:\(\w+\))?$", re.IGNORECASE)


def newest_python_module() -> str | None:
    """Return the module's name, as `python/3.12`; None where there is none, or no `module` command.

    Of several builds of a version the one with the shortest name is chosen.
    """
    try:
        listed = answer_of("bash", "-lc", _AVAILABLE, seconds=30)
    except NoAnswerError:
        return None
    found = [match for line in listed.splitlines() if (match := _VERSION.match(line.strip()))]
    best = max(found, key=lambda each: (int(each[2]), int(each[3] or 0)), default=None)
    return best[1] if best else None

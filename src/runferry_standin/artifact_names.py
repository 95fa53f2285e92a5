"""What tags and aliases of artifacts may be called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runferry_standin.problems import RefusedError

if TYPE_CHECKING:
    from runferry_standin.store import Record

LONGEST = 128
"""Characters of a tag or an alias (read: the client's input types, which are made from the server's schema)."""

_TAG = re.compile(r"[-\w]+([ ]+[-\w]+)*")


def tags_in(wanted: Record, field: str = "tags") -> list[str]:
    """Return the tags that a mutation's input wants.

    Raises
    ------
    RefusedError
        When one is too long, or holds something else than letters, digits, hyphens, underscores and spaces (read: as
        above; that the server refuses the whole request is assumed).
    """
    inputs: list[Record] = wanted.get(field) or []
    tags: list[str] = [each["tag_name"] for each in inputs]
    for tag in tags:
        if len(tag) > LONGEST or not _TAG.fullmatch(tag):
            message = f"invalid tag {tag[:LONGEST]!r}: expected up to {LONGEST} letters, digits, -, _ and spaces"
            raise RefusedError(message)
    return tags


def aliases_in(wanted: Record) -> list[str]:
    """Return the aliases that a mutation's input wants.

    Raises
    ------
    RefusedError
        When one is too long.
    """
    inputs: list[Record] = wanted.get("aliases") or []
    aliases: list[str] = [each["alias"] for each in inputs]
    for alias in aliases:
        if len(alias) > LONGEST:
            message = f"invalid alias {alias[:LONGEST]!r}...: expected up to {LONGEST} characters"
            raise RefusedError(message)
    return aliases

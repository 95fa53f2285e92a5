"""Print the facts of a cluster's file as a table: a line for each, as `tests/config/test_facts.py` reads it.

    PYTHONPATH=tests python -m support.facts_table narval > tests/config/facts/narval.tsv

It is a copy of the file: only somebody who compares it with the site's page makes it more than that.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import yaml

from runferry.config.cluster import facts

# Names, and what is said in words.
UNSTATED = {"name", "title", "scheduler", "sources", "submit", "wandb/reason"}


def leaves(given: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """List the facts of a file that are established, by the keys that lead to them."""
    if "/".join(path) in UNSTATED or given is None or given == {}:
        return {}
    if not isinstance(given, dict):
        return {path: given}
    found: dict[tuple[str, ...], Any] = {}
    for key, value in given.items():
        found |= leaves(value, (*path, key))
    return found


def table(name: str) -> str:
    """Return the table of a cluster."""
    given = facts(name)
    source = given["sources"]["cluster"]
    lines = [f"# {given['title']}: {source['page']}, {source['read']}; copied on {datetime.now(UTC):%Y-%m-%d}."]
    lines.append("cluster\tfact\tvalue")
    for path, value in leaves(given).items():
        text = yaml.safe_dump(value, default_flow_style=True, width=100_000, sort_keys=False)
        lines.append(f"{name}\t{'/'.join(path)}\t{text.strip().removesuffix('...').strip()}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table(sys.argv[1]))

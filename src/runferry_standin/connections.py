"""Pages of records in the form of GraphQL connections: edges, cursors, pageInfo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runferry_standin.store import Record


def connection(nodes: list[Any], first: int | None = None, after: str | None = None) -> Record:
    """One page of `nodes`.

    Parameters
    ----------
    first
        The longest page; None gives all that is left.
    after
        The cursor of the last node of the page before, which is its position; None or "" begins at the start.
    """
    start = int(after) + 1 if after and after.isdecimal() else 0
    end = len(nodes) if first is None else min(start + first, len(nodes))
    page = list(enumerate(nodes))[start:end]
    return {
        "edges": [{"node": node, "cursor": str(position)} for position, node in page],
        "page_info": {"end_cursor": str(page[-1][0]) if page else None, "has_next_page": end < len(nodes)},
        "total_count": len(nodes),
    }

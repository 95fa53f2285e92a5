"""What answers a field of a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runferry_standin.links import Links
    from runferry_standin.store import Store


@dataclass(frozen=True)
class Context:
    """What a field's resolver works with."""

    store: Store
    links: Links

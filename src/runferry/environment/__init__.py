"""The training environment: built once on the login node, unpacked by every job on its own node.

Importing this costs the standard library and zstandard, which is what a job needs; what `build` needs on top is
imported when `build` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry.environment.archive import unpack
from runferry.environment.record import Record, Specification, read_record

if TYPE_CHECKING:
    from runferry.environment.building import build

__all__ = ["Record", "Specification", "build", "read_record", "unpack"]


def __getattr__(name: str) -> object:
    if name == "build":
        from runferry.environment import building

        return building.build
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)

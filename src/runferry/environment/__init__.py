"""The training environment: built once on the login node, unpacked by every job on its own node.

Importing this costs nothing: what `unpack` needs (zstandard) and what `build` needs on top is imported when it is asked
for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runferry.environment.archive import unpack
    from runferry.environment.building import build
    from runferry.environment.record import Record, read_record
    from runferry.environment.specification import Specification

__all__ = ["Record", "Specification", "build", "read_record", "unpack"]

_WHERE = {
    "Record": "record",
    "Specification": "record",
    "build": "building",
    "read_record": "record",
    "unpack": "archive",
}


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)

"""Convert the JSON objects of files to frozen dataclasses and back.

A record is a dataclass of this module's kind: each field is a key, with a default wherever an earlier version did not
write it. Keys that a later version writes are kept in `unknown`, and written back.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, fields
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from runferry.system.files import read_json, write_json
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def optional(default: Any = None, *, factory: Callable[[], Any] | None = None) -> Any:
    """Return the field of a key that is not in the file where it has its default, or what `factory` makes."""
    if factory is not None:
        return field(default_factory=factory, metadata={"optional": True})
    return field(default=default, metadata={"optional": True})


@dataclass(frozen=True, eq=False, repr=False)
class Record:
    """A JSON object as a dataclass.

    Types of fields: `str`, `int`, `float`, `bool`, `None`, `tuple`, `Mapping`, `Any` for any of these, other records,
    and tuples of other records.
    """

    NAME: ClassVar[str] = "record"
    """What messages call it."""
    unknown: Mapping[str, Any] = field(default_factory=dict[str, Any], kw_only=True, repr=False, compare=False)
    """Keys that this version does not know, with their values."""

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the record in a JSON file.

        Raises
        ------
        OSError
            When it cannot be read.
        ValueError
            When it is no such record; the message names the file.
        """
        return from_json(cls, read_json(file), str(file))

    def write(self, file: Path) -> None:
        """Write the record to a file, in place of an earlier one.

        Raises
        ------
        OSError
            When it cannot be written, as on a full disk; the file is as it was then.
        """
        write_json(file, self.to_json())

    def absent(self) -> frozenset[str]:
        """Return the names of fields that are not written, for they say nothing."""
        return frozenset(name for name, default in _optional(type(self)) if getattr(self, name) == default)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        absent = self.absent()
        known = {name: _plain(getattr(self, name)) for name in _keys(type(self)) if name not in absent}
        return {**known, **self.unknown}


Kind = TypeVar("Kind", bound=Record)


def from_json(kind: type[Kind], value: Any, where: str) -> Kind:
    """Convert a JSON value to a record.

    Parameters
    ----------
    kind
        The record's class.
    value
        As `json.loads` returns it. A null where none can be stands for a key that is not there.
    where
        For messages: the file, or the file and the key.

    Raises
    ------
    ValueError
        When it is no object, lacks a key without a default, or has a value of another type.
    """
    if not is_mapping(value):
        message = f"{where}: found {json.dumps(value)[:80]}, expected a {kind.NAME}, a JSON object"
        raise ValueError(message)
    types = _types(kind)
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for key, item in value.items():
        if key not in types:
            unknown[key] = item
            continue
        accepted, expected, convert = types[key]
        if type(item) in accepted:
            known[key] = item if convert is None or item is None else convert(item, f"{where}: {key}")
        elif item is not None:
            message = f"{where}: {key}: found {json.dumps(item)[:80]}, expected {expected}"
            raise ValueError(message)
    try:
        return kind(**known, unknown=unknown)
    except TypeError:
        lacking = ", ".join(name for name in _keys(kind) if name not in known and name in _required(kind))
        message = f"{where}: found no {lacking}, expected a {kind.NAME}"
        raise ValueError(message) from None


_ACCEPTED: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "int": ((int,), "a whole number"),
    "float": ((float, int), "a number"),
    "bool": ((bool,), "true or false"),
    "tuple": ((list,), "a list"),
    "Mapping": ((dict,), "an object"),
    "None": ((NoneType,), "null"),
    "Any": ((str, int, float, bool, list, dict, NoneType), "anything"),
}


@cache
def _types(kind: type[Record]) -> dict[str, tuple[frozenset[type], str, Callable[[Any, str], Any] | None]]:
    """Return for each key the accepted types, their names, and what converts such a value."""
    found: dict[str, tuple[frozenset[type], str, Callable[[Any, str], Any] | None]] = {}
    for each in _fields(kind):
        accepted: list[type] = []
        words: list[str] = []
        convert: Callable[[Any, str], Any] | None = None
        # The annotation's text, as the modules of records have it, costs less than typing.get_type_hints.
        for part in str(each.type).split(" | "):
            name, _, inner = part.partition("[")
            types, word = _ACCEPTED.get(name, ((dict,), "an object"))
            accepted += types
            words.append(word)
            if name == "tuple":
                convert = _tuple_of(kind, inner.partition(",")[0])
            elif name not in _ACCEPTED:
                convert = _record_of(kind, name)
        found[each.name] = frozenset(accepted), " or ".join(words), convert
    return found


def _tuple_of(kind: type[Record], name: str) -> Callable[[Any, str], Any]:
    if name == "Any":
        return lambda value, _where: tuple(value)
    if name not in _ACCEPTED:
        convert = _record_of(kind, name)
        return lambda value, where: tuple(convert(item, where) for item in value)
    accepted, word = _ACCEPTED[name]

    def checked(value: list[Any], where: str) -> tuple[Any, ...]:
        for item in value:
            if type(item) not in accepted:
                message = f"{where}: found {json.dumps(item)[:80]} in it, expected {word}"
                raise ValueError(message)
        return tuple(value)

    return checked


def _record_of(kind: type[Record], name: str) -> Callable[[Any, str], Any]:
    found: type[Record] = getattr(sys.modules[kind.__module__], name)
    return lambda value, where: from_json(found, value, where)


@cache
def _fields(kind: type[Record]) -> tuple[Any, ...]:
    return tuple(each for each in fields(kind) if each.name != "unknown")


@cache
def _keys(kind: type[Record]) -> tuple[str, ...]:
    return tuple(each.name for each in _fields(kind))


@cache
def _required(kind: type[Record]) -> frozenset[str]:
    from dataclasses import MISSING

    return frozenset(each.name for each in _fields(kind) if each.default is each.default_factory is MISSING)


@cache
def _optional(kind: type[Record]) -> tuple[tuple[str, Any], ...]:
    from dataclasses import MISSING

    return tuple(
        (each.name, each.default if each.default_factory is MISSING else each.default_factory())
        for each in _fields(kind)
        if each.metadata.get("optional")
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value

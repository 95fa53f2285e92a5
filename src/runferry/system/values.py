"""Check the types of values read from YAML and JSON in a way that a type checker follows, and decode JSON."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def is_mapping(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether a value read from YAML or JSON is a mapping."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Return whether a value read from YAML or JSON is a list."""
    return isinstance(value, list)


def set_at(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value in nested mappings; anything on the way that is not a mapping is replaced by one."""
    *above, key = path
    for name in above:
        inner = tree.get(name)
        if not is_mapping(inner):
            inner = tree[name] = {}
        tree = inner
    tree[key] = value


def decode_all(texts: Sequence[str]) -> list[Any]:
    """Decode JSON texts, each as `decode_or_keep` does; one call for all is several times faster than one each."""
    try:
        values: list[Any] = json.loads(f"[{','.join(texts)}]")
    except ValueError:
        values = []
    return values if len(values) == len(texts) else [decode_or_keep(text) for text in texts]


def decode_or_keep(text: str) -> Any:
    """Decode a JSON text; return any other text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


_Item = TypeVar("_Item")


def batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yield the items in lists of `size`, the last one shorter (`itertools.batched` comes with Python 3.12)."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a logged value can be drawn: a float or an int (within a float's range), but no bool."""
    return type(value) is float or (type(value) is int and abs(value) < 1e308)

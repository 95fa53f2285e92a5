"""What YAML and JSON give: asked for its kind in a way that a type checker follows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_mapping(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a value read from YAML or JSON is a mapping."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Tell whether a value read from YAML or JSON is a list."""
    return isinstance(value, list)


def set_at(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value in mappings inside one another; what is no mapping on the way is replaced by one."""
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
    """Decode a JSON text; one that is none stays a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text

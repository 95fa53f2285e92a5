"""What YAML and JSON give: asked for its kind in a way that a type checker follows."""

from __future__ import annotations

from typing import Any, TypeGuard


def is_mapping(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a value read from YAML or JSON is a mapping."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Tell whether a value read from YAML or JSON is a list."""
    return isinstance(value, list)

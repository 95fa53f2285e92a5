"""The page of every key of the config, made from its schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = """# Every key of the config

Made from `workflow/schemas/config.schema.yaml`, which is what a config is held against. Examples and explanations are
in [the config](guide.md). `runferry init` writes a first one.

## What everybody needs

| key | what it says |
| --- | --- |
{common}

The other keys have defaults, and most configs name none of them. Every key with its default:
"""

_TABLE = "| key | default | takes | what it says |\n| --- | --- | --- | --- |"
_COMMON = (
    "account",
    "wandb.project",
    "environment.modules",
    "environment.requirements",
    "experiments.<name>.sweep",
    "experiments.<name>.command",
    "experiments.<name>.resources.gpus",
    "experiments.<name>.resources.time",
)
_NAMED = ("environments", "experiments")
"""Sections whose keys are names of the user's."""


def config_reference(schema: Path) -> str:
    """Write the page; `schema` is the file."""
    properties: dict[str, Any] = yaml.safe_load(schema.read_text(encoding="utf-8"))["properties"]
    tables: dict[str, list[str]] = {}
    said: dict[str, str] = {}
    seen: list[Any] = []
    for name, section in properties.items():
        # Keys that are no sections share one table.
        title = (
            f"`{name}`" if "properties" in section or name in _NAMED else "Where jobs run, what they log to, and paths"
        )
        tables.setdefault(title, []).extend(_rows(name, section, seen=[]))
        said |= {
            key: _cell(found.get("description") or found.get("expected", ""))
            for key, found in _walk(name, section, seen)
        }
    common = "\n".join(f"| <code>{key.replace('<', '&lt;')}</code> | {said[key]} |" for key in _COMMON)
    return (
        "\n\n".join(
            [
                _HEAD.format(common=common),
                *(f"## {title}\n\n{_TABLE}\n" + "\n".join(rows) for title, rows in tables.items()),
            ]
        )
        + "\n"
    )


def keys(schema: Path) -> list[str]:
    """List the keys, such as `experiments.<name>.resources.gpus`; those of a section that stands again only once."""
    properties: dict[str, Any] = yaml.safe_load(schema.read_text(encoding="utf-8"))["properties"]
    seen: list[Any] = []
    return [key for name, section in properties.items() for key, _ in _walk(name, section, seen)]


def _rows(name: str, section: dict[str, Any], seen: list[Any]) -> Iterator[str]:
    for key, found in _walk(name, section, seen):
        says = found.get("description") or found.get("expected", "")
        default = f"`{json.dumps(found['default'], ensure_ascii=False)}`" if "default" in found else ""
        yield f"| `{key}` | {default} | {_takes(found)} | {_cell(says)} |"


def _walk(key: str, section: dict[str, Any], seen: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield key, section
    inner = section.get("properties")
    # A YAML alias is the same object: the section is described where it stands first.
    if inner is not None and not any(inner is other for other in seen):
        seen.append(inner)
        for name, below in inner.items():
            yield from _walk(f"{key}.{name}", below, seen)
    if isinstance(named := section.get("additionalProperties"), dict) and "properties" in named:
        yield from _walk(f"{key}.<name>", named, seen)
    if isinstance(items := section.get("items"), dict) and "properties" in items:
        for name, below in items["properties"].items():
            yield f"{key}[].{name}", below


def _takes(found: dict[str, Any]) -> str:
    if "enum" in found:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in found["enum"])
    if "expected" in found:
        return _cell(found["expected"])
    kinds = found.get("type", "")
    words = {"object": "a mapping", "array": "a list", "string": "a text", "null": "`null`", "boolean": "true or false"}
    return " or ".join(words.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _cell(text: str) -> str:
    # `<name>` in plain text would be a tag, and a bar would end the cell.
    return text.replace("|", "\\|").replace("<", "&lt;")

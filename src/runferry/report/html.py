"""Render self-contained pages: one HTML file each, with its styles, script and data inside."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import jinja2
    from markupsafe import Markup


def template(package: str, name: str) -> str:
    """Read `templates/<name>` of a package."""
    return (resources.files(package) / "templates" / name).read_text(encoding="utf-8")


def style(package: str, name: str) -> str:
    """Join the styles of all pages and the page's own."""
    return f"{template('runferry', 'base.css')}\n{template(package, name)}"


def class_of(declared: str, value: float) -> str:
    """Name the class that declares a property's value; `rules` defines it.

    >>> class_of("width", 12.5)
    'width-12_5'
    """
    return f"{declared}-{value}".replace(".", "_")


def rules(declared: str, values: Iterable[float], unit: str = "") -> str:
    """Define a class for each value of a property: the page's policy lets no element have a style of its own.

    >>> rules("width", [12.5], "%")
    '.width-12_5 { width: 12.5%; }'
    """
    each = sorted(set(values))
    return "\n".join(f".{class_of(declared, value)} {{ {declared}: {value}{unit}; }}" for value in each)


def jinja(package: str) -> jinja2.Environment:
    """Return the Jinja environment of a package's templates; it escapes text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: template(package, name)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(class_of=class_of)  # pyright: ignore[reportUnknownMemberType] - Jinja does not say
    return environment


def policy(script: str, style: str) -> str:
    """Return the content security policy: this script and this style by their hashes, and no address at all.

    A style that a script sets on an element is no text of the page, and allowed.
    """
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; base-uri 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def data(value: Any) -> Markup:
    """Return the data of a script as JSON that can stand inside a script element.

    There only "<" could end it; in JSON it is only found in strings.
    """
    from markupsafe import Markup

    return Markup(json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))

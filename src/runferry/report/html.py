"""Render self-contained pages: one HTML file each, with its styles, script and data inside."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup


def template(package: str, name: str) -> str:
    """Read `templates/<name>` of a package."""
    return (resources.files(package) / "templates" / name).read_text(encoding="utf-8")


def style(package: str, name: str) -> Markup:
    """Join the styles of all pages and the page's own."""
    from markupsafe import Markup

    return Markup(f"{template('runferry', 'base.css')}\n{template(package, name)}")


def jinja(package: str) -> jinja2.Environment:
    """Return the Jinja environment of a package's templates; it escapes text."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: template(package, name)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def policy(script: str) -> str:
    """Return the content security policy: this script by its hash, and no address at all."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
    )


def data(value: Any) -> Markup:
    """Return the data of a script as JSON that can stand inside a script element.

    There only "<" could end it; in JSON it is only found in strings.
    """
    from markupsafe import Markup

    return Markup(json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))

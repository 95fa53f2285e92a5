"""Find what ships beside the Python package: the workflow with its schema, and the profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(folder: Literal["workflow", "profiles"]) -> Path:
    """Return the path of a folder that ships with runferry: in the package as pip installs it, else in the checkout."""
    installed = _PACKAGE / "shipped" / folder
    return installed if installed.is_dir() else _PACKAGE.parents[1] / folder

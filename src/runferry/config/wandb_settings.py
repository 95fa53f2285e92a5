"""Read the settings files of wandb's own: `wandb login --host` writes one for a user, `wandb init` one for a folder."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@cache
def stored_settings(file: Path) -> Mapping[str, str]:
    """Return what a settings file of wandb's says, such as project, entity and base_url; nothing without one.

    Its section is `default` (read in wandb 0.22.3 and 0.31.0, sdk/wandb_settings.py). It is read once in a process.
    """
    if not file.is_file():
        return {}
    # Only here: it is one import more for every job.
    from configparser import ConfigParser, Error

    parser = ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (Error, OSError, UnicodeDecodeError):
        # wandb, too, goes on without a file that it cannot read.
        return {}
    return dict(parser["default"]) if parser.has_section("default") else {}

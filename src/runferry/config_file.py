"""A config that is read without Snakemake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config import load_yaml, validate
from runferry.errors import ConfigError
from runferry.json_values import is_mapping

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

_NAME = "config.schema.yaml"


def read_config(config: Mapping[str, Any] | str | os.PathLike[str]) -> dict[str, Any]:
    """Check a config, given or in a file, and return it with its defaults.

    Raises
    ------
    ConfigError
        As `runferry.config.validate`, and when the file cannot be read.
    """
    given: Any = config if is_mapping(config) else load_yaml(Path(str(config)))
    if not is_mapping(given):
        raise ConfigError(f"{config}: found no mapping of keys, expected a config as in config/README.md")
    return validate(given, schema_file())


def schema_file() -> Path:
    """Find the config's schema: beside this module in a wheel, in the workflow's folder in a checkout."""
    installed = Path(__file__).with_name(_NAME)
    return installed if installed.is_file() else Path(__file__).parents[2] / "workflow" / "schemas" / _NAME

"""Find the sweep definitions of a repository, and write a first one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runferry.config.loading import load_yaml
from runferry.config.sweep.definition import check
from runferry.errors import ConfigError
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runferry.config.repository.command import FirstSweep
    from runferry.config.repository.parameters import FoundMetric

_FOLDERS = ("", "config", "configs", "conf", "sweep", "sweeps", "experiments", "scripts")


@dataclass(frozen=True)
class FoundSweep:
    """A sweep definition of the user's."""

    file: Path
    definition: Mapping[str, Any]
    refused: str | None
    """Why it cannot be used as it is."""

    @property
    def program(self) -> Path | None:
        """Return the script that it names."""
        program = self.definition.get("program")
        return Path(program) if isinstance(program, str) else None

    @property
    def needs_count(self) -> bool:
        """Return whether nothing in it says how many runs it has."""
        return self.definition.get("method") != "grid" and self.definition.get("run_cap") is None


def find_sweeps(folder: Path) -> list[FoundSweep]:
    """List the sweep definitions of a repository: YAML files with a method and parameters, relative to it."""
    found: list[FoundSweep] = []
    for name in _FOLDERS:
        for file in sorted((folder / name).glob("*.y*ml")):
            given: Any = None
            with suppress(ConfigError):
                given = load_yaml(file)
            if is_mapping(given) and is_mapping(given.get("parameters")) and "method" in given:
                inside = file.relative_to(folder)
                found.append(FoundSweep(inside, given, _refused(given, str(inside))))
    return found


def sweep_text(sweep: FirstSweep, metric: FoundMetric | None) -> str:
    """Write a first sweep definition, with the parameters that stay at their defaults as comments."""
    lines = ["# Which runs: a W&B sweep definition (https://docs.wandb.ai/guides/sweeps/sweep-config-keys/)."]
    lines += [f"program: {yaml_line(sweep.program)}"] if sweep.program else [f"command: {yaml_line(sweep.command)}"]
    lines.append("method: grid")
    if metric:
        lines.append(f"metric: {yaml_line({'name': metric.name, 'goal': metric.goal})}")
    lines.append("parameters:")
    for name, values in sweep.varied.items():
        lines.append(f"  {yaml_line(name)}: {yaml_line({'values': values})}")
    lines += [f"  {yaml_line(name)}: {yaml_line({'value': value})}" for name, value in sweep.fixed.items()]
    if sweep.defaults:
        lines.append("  # The script's own defaults:")
        lines += [f"  # {yaml_line(name)}: {yaml_line({'value': value})}" for name, value in sweep.defaults.items()]
    return "\n".join(lines) + "\n"


def free_name(wanted: Path, folder: Path, taken: Iterable[Path] = ()) -> Path:
    """Return a name that no file of the folder has, with a number where it must."""
    number, name = 1, wanted
    while (folder / name).exists() or name in taken:
        number += 1
        name = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return name


def _refused(definition: Mapping[str, Any], where: str) -> str | None:
    try:
        check(definition, where)
    except ConfigError as error:
        return str(error)
    return None


def yaml_line(value: Any) -> str:
    """Write a value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True).strip()
    return text.removesuffix("...").strip()

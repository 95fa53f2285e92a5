"""Plan the environments that a config asks for, and which experiment runs in which."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.environment.specification import KINDS, Specification, check_source, source_files
from runferry.errors import ConfigError
from runferry.system.text import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.environment.specification import Kind

DEFAULT = "default"
"""The name of the config's `environment`, which experiments have that name none."""


@dataclass(frozen=True)
class PlannedEnvironment:
    """One environment of the config, checked."""

    name: str
    """Of its record, `results/environments/<name>.json`."""
    kind: Kind
    source: Path
    section: Mapping[str, Any]

    def files(self) -> list[str]:
        """List the files that the environment is built from and whose times show a change."""
        return [str(file) for file in source_files(self.kind, self.source)]

    def specification(self, *, wheelhouse: bool) -> Specification:
        """Return the specification that the environment is built from.

        Parameters
        ----------
        wheelhouse
            Whether the cluster has one, so that pip must use it and nothing else.
        """
        return Specification(
            self.source,
            self.section["python"],
            tuple(self.section["modules"]),
            no_index=wheelhouse,
            kind=self.kind,
            extras=tuple(self.section["extras"]),
            committed=self.section["state"] == "committed",
            index_allowed=self.section["index"] == "allowed",
        )

    def options(self, *, wheelhouse: bool) -> list[str]:
        """Return the options of `runferry environment` that build it."""
        options = [f"--{self.kind}", str(self.source)]
        if self.section["python"]:
            options += ["--python", self.section["python"]]
        for module in self.section["modules"]:
            options += ["--module", module]
        for extra in self.section["extras"]:
            options += ["--extra", extra]
        options += ["--committed"] if self.section["state"] == "committed" else []
        if self.kind in {"venv", "container"} or not wheelhouse:
            return options
        return [*options, "--no-index", *(["--index-allowed"] if self.section["index"] else [])]


@dataclass(frozen=True)
class EnvironmentPlan:
    """All environments of a config."""

    environments: Mapping[str, PlannedEnvironment]
    """By name; two sections that say the same are one, under the first's name."""
    of_experiment: Mapping[str, str | None]
    """The environment's name, by the experiment's; None where commands run with the PATH as it is."""
    modules: Mapping[str, tuple[str, ...]]
    """What is loaded in a job, by the experiment's name."""


def plan_environments(config: Mapping[str, Any]) -> EnvironmentPlan:
    """Check and plan the environments of a validated config (see `runferry.config.loading.validate`).

    Raises
    ------
    ConfigError
        When one has no source or several, a source is missing, keys do not go together, or a name is not there.
    """
    planned: dict[str, PlannedEnvironment] = {}
    sections: dict[str, Mapping[str, Any]] = {}
    default = _planned(DEFAULT, config["environment"], "environment")
    named = {
        name: _planned(name, section, f"environments.{name}", needed=True)
        for name, section in config["environments"].items()
    }
    if default and DEFAULT in named:
        message = f"config: environments.{DEFAULT}: found the name of `environment`, expected one of its own"
        raise ConfigError(message)
    of_experiment: dict[str, str | None] = {}
    modules: dict[str, tuple[str, ...]] = {}
    for experiment, settings in config["experiments"].items():
        asked = settings["environment"]
        where = f"experiments.{experiment}.environment"
        if asked is None:
            environment, section = default, config["environment"]
        elif isinstance(asked, str):
            if asked not in named:
                known = ", ".join(named) or "none at all"
                message = f"config: {where}: found {asked}, expected one of `environments` ({known})"
                raise ConfigError(message + suggest(asked, named))
            environment, section = named[asked], config["environments"][asked]
        else:
            environment, section = _planned(experiment, asked, where), asked
        modules[experiment] = tuple(section["modules"])
        of_experiment[experiment] = None
        if environment is None:
            continue
        same = next((name for name, other in sections.items() if other == section), None)
        name = same or environment.name
        if same is None and isinstance(asked, dict):
            name = _free_name(experiment, {DEFAULT, *named, *planned})
        if same is None:
            sections[name] = section
            planned[name] = PlannedEnvironment(name, environment.kind, environment.source, section)
        of_experiment[experiment] = name
    return EnvironmentPlan(planned, of_experiment, modules)


def _free_name(name: str, taken: set[str]) -> str:
    """Name an environment that is written in place after its experiment, unless another has that name."""
    while name in taken:
        name = f"{name}-own"
    return name


def _planned(name: str, section: Mapping[str, Any], where: str, *, needed: bool = False) -> PlannedEnvironment | None:
    kinds: list[Kind] = [kind for kind in KINDS if section[kind] is not None]
    if len(kinds) > 1 or (needed and not kinds):
        found = " and ".join(kinds) or "none"
        raise ConfigError(f"config: {where}: found {found}, expected exactly one of {', '.join(KINDS)}")
    kind = kinds[0] if kinds else None
    for key, value, kinds_of_key in (
        ("extras", section["extras"], ("pyproject",)),
        ("state", section["state"] != "working-tree", ("pyproject",)),
        ("python", section["python"], ("requirements", "lock", "pyproject", None)),
        ("index", section["index"], ("requirements", "lock", "pyproject")),
    ):
        if value and kind not in kinds_of_key:
            goes = ", ".join(item for item in kinds_of_key if item)
            raise ConfigError(f"config: {where}.{key}: found it with {kind or 'no source'}, expected it with {goes}")
    if kind is None:
        return None
    source = Path(section[kind])
    check_source(kind, source, f"config: {where}")
    return PlannedEnvironment(name, kind, source, section)

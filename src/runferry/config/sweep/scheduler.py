"""Check the parts of a sweep definition that wandb 0.31 added for its schedulers: `scheduler` and `metrics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config.sweep.parameter import quoted
from runferry.errors import ConfigError
from runferry.system.text import suggest
from runferry.system.values import is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

ENGINES = ("optuna", "ax", "wandb")
"""What chooses points, the best for a bayes sweep that names none first."""

_KEYS = ("engine", "source", "optimizer", "search_space")
_OF_LAUNCH = ("job", "docker_image", "resource", "resource_args", "num_workers", "settings", "queue")
_TAKES = {
    "optuna": ("source", "optimizer", "search_space"),
    "ax": ("source", "optimizer"),
    # It reads nothing but the definition; W&B's own scheduler warns, and leaves the others out.
    "wandb": (),
}
_GOALS = ("minimize", "maximize")


def section_of(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section `scheduler` of a definition; an empty one where it has none."""
    section: Any = definition.get("scheduler")
    return section if is_mapping(section) else {}


def engine_of(definition: Mapping[str, Any]) -> str:
    """Return the engine that a definition names; W&B's own where it names none."""
    return section_of(definition).get("engine", "wandb")


def check_scheduler(definition: Mapping[str, Any], where: str) -> None:
    """Refuse a `scheduler` section that W&B's own scheduler would not take, or leave out.

    Raises
    ------
    ConfigError
        For the first thing that is wrong.
    """
    section = definition.get("scheduler")
    where = f"{where}: scheduler"
    if not is_mapping(section):
        raise ConfigError(f"{where}: found {quoted(section)}, expected a mapping with engine")
    for key in section:
        if key in _OF_LAUNCH:
            message = f"{where}.{key}: found a scheduler of W&B Launch, expected engine: {', '.join(ENGINES)}"
            raise ConfigError(f"{message}, which needs no server")
        if key not in _KEYS:
            message = f"{where}.{key}: found an unknown key, expected one of {', '.join(_KEYS)}"
            raise ConfigError(message + suggest(str(key), _KEYS))
    engine = section.get("engine")
    if engine not in ENGINES:
        message = f"{where}.engine: found {quoted(engine)}, expected one of {', '.join(ENGINES)}"
        raise ConfigError(message + suggest(str(engine), ENGINES))
    _check_functions(section, engine, where)


def _check_functions(section: Mapping[str, Any], engine: str, where: str) -> None:
    """Check what is the user's own: a source file, and the functions in it."""
    for key in _KEYS[1:]:
        value = section.get(key)
        if value is None:
            continue
        if key not in _TAKES[engine]:
            raise ConfigError(
                f"{where}.{key}: found it with engine {engine}, expected none, since that has no use for it"
            )
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{where}.{key}: found {quoted(value)}, expected a text")
        if key != "source" and not section.get("source"):
            message = f"{where}.source: found nothing, expected the Python file that defines {value}"
            raise ConfigError(message)


def check_metrics(definition: Mapping[str, Any], where: str) -> None:
    """Refuse `metrics` that are not several goals, each with its name, for an engine that takes them.

    Raises
    ------
    ConfigError
        For the first thing that is wrong.
    """
    metrics = definition["metrics"]
    where = f"{where}: metrics"
    if definition.get("metric") is not None:
        raise ConfigError(f"{where}: found it together with metric, expected one of the two")
    if engine_of(definition) == "wandb":
        message = f"{where}: found several goals without an engine that takes them, expected scheduler with engine"
        raise ConfigError(f"{message} optuna or ax, or one metric")
    if "early_terminate" in definition:
        raise ConfigError(f"{where}: found it with early_terminate, expected one metric, by which runs are compared")
    if not is_list(metrics) or not metrics:
        raise ConfigError(f"{where}: found {quoted(metrics)}, expected a list of mappings with name and goal")
    for metric in metrics:
        if not is_mapping(metric) or not isinstance(metric.get("name"), str) or not metric["name"]:
            raise ConfigError(f"{where}: found {quoted(metric)}, expected a mapping with name and goal")
        if metric.get("goal", "minimize") not in _GOALS:
            expected = " or ".join(_GOALS)
            raise ConfigError(f"{where}: goal: found {quoted(metric.get('goal'))}, expected {expected}")


def find_source(definition: Mapping[str, Any], where: str) -> str | None:
    """Return the whole path of the scheduler's source file: as given, or beside the definition's file.

    Raises
    ------
    ConfigError
        When it is in neither place.
    """
    given: Any = section_of(definition).get("source")
    if not given:
        return None
    for file in (Path(given), Path(where).parent / given):
        if file.is_file():
            return str(file.resolve())
    message = f"{where}: scheduler.source: found no file {given}, expected it in {Path.cwd()} or beside the definition"
    raise ConfigError(f"{message}, with the functions that the section names")

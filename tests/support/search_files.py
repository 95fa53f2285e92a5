"""The files of a search's engine, as the workflow writes them, made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry.config.search.state import DEFINITION, Asked, SearchRecord, Told, append_events, points_file
from support.sample_experiment import write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runferry.config.search.state import Event


def write_search(
    folder: Path, metrics: Sequence[Mapping[str, str]], told: Mapping[str, tuple[str | None, Mapping[str, float]]]
) -> None:
    """Write a search of these metrics: of each run in the order in which it was asked for, its state and last values.

    A state of None has not been told yet.
    """
    definition: dict[str, Any] = {"method": "bayes", "parameters": {}}
    definition |= {"metrics": metrics} if len(metrics) > 1 else {"metric": metrics[0]}
    write(folder / "sweep.json", definition)
    begun = SearchRecord(folder.name, "sweep.yaml", definition, "optuna", None, 0, len(told), 1, {})
    begun.write(folder / "search" / DEFINITION)
    events: list[Event] = []
    for number, (run, (state, values)) in enumerate(told.items(), 1):
        events.append(Asked(number, number - 1, run, {}, 0, "optuna"))
        if state is not None:
            events.append(Told(number, state, values, ()))
    append_events(points_file(folder), events)

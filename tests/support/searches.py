"""Searches without jobs: begun from a config, their runs ended by the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runferry.config import loading
from runferry.config.experiments import experiments
from runferry.config.search.state import SearchRecord, points_file, points_of, read_events, read_search
from runferry.system.files import write_json
from runferry.workflow.search import ask, begin
from support.paths import ROOT
from support.sample_experiment import write_log_of

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
SEED = 7


def sweep_over_x(**more: Any) -> dict[str, Any]:
    """A sweep that Optuna searches."""
    return {
        "command": ["true", "${args}"],
        "metric": {"name": "loss", "goal": "minimize"},
        "scheduler": {"engine": "optuna"},
        "parameters": {"x": {"min": -3.0, "max": 3.0}, "layers": {"values": [1, 2, 4]}},
        **more,
    }


def make_experiment(sweep: dict[str, Any] | str, **more: Any) -> Any:
    """Make the experiment `search` of a config."""
    section = {"sweep": sweep, "count": 40, "parallel": 4, "seed": SEED, **more}
    config = {"wandb": {"project": "tests"}, "experiments": {"search": section}}
    return experiments(loading.validate(config, SCHEMA))["search"]


class Search:
    """A search in `folder`, whose runs end when a test says so."""

    def __init__(self, folder: Path, sweep: dict[str, Any] | str, **more: Any) -> None:
        self.folder = folder / "search"
        self.said: list[str] = []
        begin(make_experiment(sweep, **more), self.folder, self.said.append)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event.to_json() for event in read_events(points_file(self.folder))]

    @property
    def points(self) -> list[Any]:
        return points_of(read_events(points_file(self.folder)))

    def place_file(self, place: int) -> Path:
        return self.folder / "search" / f"{place}.json"

    def ask(self, place: int) -> dict[str, Any]:
        """Ask for the point of a place; return its parameters."""
        assert ask(self.place_file(place), self.said.append)
        (point,) = [point for point in self.points if point.place == place]
        return dict(point.parameters)

    def end(self, place: int, rows: list[dict[str, Any]], state: str = "finished") -> None:
        """Have the run of a place end, with what it logged."""
        (point,) = [point for point in self.points if point.place == place]
        run = self.folder / point.run
        write_log_of(run, rows)
        write_json(run / "attempts" / "1.json", {"attempt": 1})
        if state != "failed":
            write_json(run / "trained.json", {"run": point.run, **({"pruned": True} if state == "pruned" else {})})
        write_json(self.place_file(place), {"run": point.run, "finished": state != "failed"})


def written(folder: Path) -> SearchRecord:
    """What `search.json` says."""
    return read_search(folder)

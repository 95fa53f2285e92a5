"""W&B's own optimizers driven by hand, without anything of runferry's: also by a Python that has wandb and Ax alone.

As a program it searches with Ax. On stdin it takes a definition, a seed and what happens in its order, `["ask", place]`
or `["end", place, state]`; it prints the points as JSON. Before each, the client is saved and loaded, as Ax's pages say
for a search that is stopped and goes on: one that lives on differs in the eleventh digit, and now and then in a point.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any


def rows_of(point: dict[str, Any]) -> list[dict[str, float]]:
    """What a run with a point logs: it gets better, up to what its point is worth."""
    loss = (point["x"] - 1) ** 2 + 0.1 * point["layers"]
    return [{"loss": loss + 1 / step, "accuracy": point["layers"] - loss} for step in (1, 2)]


class ByHand:
    """W&B's optimizer, which lives through the whole search, asked and told without anything of runferry's."""

    def __init__(self, sweep: dict[str, Any], sampler: Any = None) -> None:
        from wandb.sdk.sweeps import SweepInfo
        from wandb.sdk.sweeps.scheduler.optimizer import make_optimizer

        self.optimizer: Any = make_optimizer(SweepInfo("search", "search", "", "", sweep, ""))
        if sampler is not None:
            self.optimizer.study.sampler = sampler
        self.runs: dict[int, str] = {}

    def ask(self, place: int) -> dict[str, Any]:
        (suggested,) = self.optimizer.ask_n_runs(1)
        self.runs[place] = suggested.run_id
        return suggested.config.flat_dict()

    def end(self, place: int, rows: list[dict[str, Any]], state: str = "finished") -> None:
        from wandb.sdk.sweeps.run_state import RunState
        from wandb.sdk.sweeps.scheduler.optimizer import RunConfig, RunWithMetrics

        run = self.runs[place]
        history = [{"_step": step, **row} for step, row in enumerate(rows)]
        word = "running" if state == "pruned" else state
        data = RunWithMetrics(RunConfig({}), RunState(word), "", history[-1] if history else {}, history)
        self.optimizer.tell_run(run, data)
        if state == "pruned":
            assert self.optimizer.prune_runs([run], [data]) == [run]


def main() -> None:
    """Answer the request on stdin, seeded before each point as runferry's searches are."""
    request = json.load(sys.stdin)
    by_hand = ByHand(request["sweep"])
    points: dict[int, dict[str, Any]] = {}
    for what, place, *state in request["steps"]:
        if what == "ask":
            by_hand.optimizer.client.save_to_json_file(request["file"])
            by_hand.optimizer.client = type(by_hand.optimizer.client).load_from_json_file(request["file"])
            _seed(request["seed"] * 100_003 + len(points))
            points[place] = by_hand.ask(place)
        else:
            by_hand.end(place, rows_of(points[place]), *state)
    json.dump(list(points.values()), sys.stdout)


def _seed(seed: int) -> None:
    import numpy as np
    import torch  # pyright: ignore[reportMissingImports] - comes with Ax

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


if __name__ == "__main__":
    main()

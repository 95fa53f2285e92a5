"""Ask an engine for points, or whether a run is to be pruned: W&B's own classes, in a process of their own.

It is run by its path, also by the Python of another environment, and so imports nothing of runferry's: a request comes
on stdin, the answer goes to stdout, both JSON. The optimizer is made anew each time and told all that is in the
search's file, so that a process that was killed changes nothing.

Optuna's is asked again for every point, in the order in which all was asked and told: the same seed and results lead
to the same points as one optimizer that lives through the whole search. Where that leads elsewhere (a sampler without
a seed), and with the other engines, whose asking costs seconds, it adopts the points as W&B's scheduler does after a
restart, seeded by how many there are.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import traceback
from typing import Any


class _Always:
    """A pruner for a run that is known to have been pruned."""

    def prune(self, study: Any, trial: Any) -> bool:  # noqa: ARG002
        return True


def main() -> None:
    """Answer the request on stdin."""
    request: dict[str, Any] = json.load(sys.stdin)
    # What a source file prints is no part of the answer.
    answer_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        answer = _ANSWERS[request["do"]](request)
    except Exception as error:  # noqa: BLE001 - whatever a source file raises
        answer = {"error": _in_one_line(error, request.get("source"))}
    json.dump(answer, answer_to, default=_plain)
    answer_to.flush()


def _check(request: dict[str, Any]) -> dict[str, Any]:
    optimizer = _make(request)
    asked = optimizer.ask_n_runs(1)
    pruner = getattr(getattr(optimizer, "study", None), "pruner", None)
    strategy = getattr(getattr(optimizer, "client", None), "_maybe_early_stopping_strategy", None)
    stops = [one for one in (pruner, strategy) if one is not None and type(one).__name__ != "NopPruner"]
    return {
        "parameters": list(asked[0].config.flat_dict()) if asked else [],
        "pruner": type(stops[0]).__name__ if stops else None,
    }


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    optimizer = _resumed(request)
    if optimizer.has_terminator() and optimizer.should_terminate_sweep():
        return {"points": [], "ended": "its terminator ended it"}
    points: list[Any] = []
    for _ in range(request["count"]):
        asked = optimizer.ask_n_runs(1)
        if not asked:
            why = "its engine has no more points" if asked is not None else None
            return {"points": points, "ended": why, "declined": asked is None}
        points.append(asked[0].config.flat_dict())
    return {"points": points, "ended": None}


def _prune(request: dict[str, Any]) -> dict[str, Any]:
    optimizer, runs = _adopted(request)
    for number, history in request["running"].items():
        if runs.get(int(number)) is not None:
            optimizer.tell_run(runs[int(number)], _data("running", {}, history))
    run, data = runs[request["number"]], _data("running", {}, request["running"][str(request["number"])])
    return {"pruned": run is not None and run in optimizer.prune_runs([run], [data])}


def _make(request: dict[str, Any]) -> Any:
    from wandb.sdk.sweeps.scheduler.optimizer import make_optimizer
    from wandb.sdk.sweeps.sweep_info import SweepInfo

    _seed(request["seed"])
    name = request["name"]
    optimizer: Any = make_optimizer(SweepInfo(name, name, "", "", request["config"], ""))
    _quiet()
    if _is_replayed(request) and not request["config"]["scheduler"].get("optimizer"):
        # W&B's class makes a study without a seed; the user's own function says what it wants.
        optimizer.study.sampler = type(optimizer.study.sampler)(seed=request["seed"])
    return optimizer


def _is_replayed(request: dict[str, Any]) -> bool:
    return request["config"]["scheduler"]["engine"] == "optuna"


def _resumed(request: dict[str, Any]) -> Any:
    """Return the optimizer that has been asked and told all that is in the request."""
    if _is_replayed(request):
        optimizer = _replayed(request)
        if optimizer is not None:
            return optimizer
    return _adopted(request)[0]


def _replayed(request: dict[str, Any]) -> Any:
    """Ask and tell again in the same order; None where that leads to other points."""
    optimizer = _make(request)
    runs: dict[int, Any] = {}
    for event in request["events"]:
        if "told" in event:
            _tell(optimizer, runs[event["told"]], event)
            continue
        asked = optimizer.ask_n_runs(1)
        if not asked or json.loads(json.dumps(asked[0].config.flat_dict(), default=_plain)) != event["parameters"]:
            return None
        runs[event["asked"]] = asked[0].run_id
    return optimizer


def _adopted(request: dict[str, Any]) -> tuple[Any, dict[int, Any]]:
    """Have the optimizer take over the points, as W&B's scheduler does after a restart; then tell their results."""
    from wandb.sdk.sweeps.run_state import RunState
    from wandb.sdk.sweeps.scheduler.optimizer import Run, RunConfig

    asked = [event for event in request["events"] if "asked" in event]
    seed = request["seed"] * 100_003 + len(asked)
    optimizer = _make({**request, "seed": seed})
    runs: dict[int, Any] = {}
    for event in asked:
        run = Run(RunConfig.from_values(event["parameters"]), RunState.RUNNING, str(event["asked"]))
        runs[event["asked"]] = optimizer.tell_existing_active_run(run)
    for event in request["events"]:
        if "told" in event and runs[event["told"]] is not None:
            _tell(optimizer, runs[event["told"]], event)
    _seed(seed)
    return optimizer, runs


def _tell(optimizer: Any, run: Any, event: dict[str, Any]) -> None:
    if event["state"] != "pruned":
        optimizer.tell_run(run, _data(event["state"], event["summary"], event["history"]))
        return
    data = _data("running", {}, event["history"])
    optimizer.tell_run(run, data)
    study, client = getattr(optimizer, "study", None), getattr(optimizer, "client", None)
    pruned = False
    if study is not None:
        pruner, study.pruner = study.pruner, _Always()
        pruned = bool(optimizer.prune_runs([run], [data]))
        study.pruner = pruner
    elif client is not None:
        client.mark_trial_early_stopped(trial_index=int(run))
        pruned = True
    if not pruned:
        optimizer.tell_run(run, _data("killed", event["summary"], event["history"]))


def _data(state: str, summary: dict[str, Any], history: list[dict[str, Any]]) -> Any:
    from wandb.sdk.sweeps.run_state import RunState
    from wandb.sdk.sweeps.scheduler.optimizer import RunConfig, RunWithMetrics

    return RunWithMetrics(RunConfig({}), RunState(state), "", summary, history)


def _seed(seed: int) -> None:
    random.seed(seed)
    for module, function in (("numpy", "random.seed"), ("torch", "manual_seed")):
        # torch is there with Ax only.
        if module in sys.modules or module == "numpy":
            target: Any = importlib.import_module(module)
            for name in function.split("."):
                target = getattr(target, name)
            target(seed % 2**32)


def _quiet() -> None:
    if "optuna" in sys.modules:
        sys.modules["optuna"].logging.set_verbosity(sys.modules["optuna"].logging.WARNING)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value.tolist()


def _in_one_line(error: BaseException, source: str | None) -> str:
    text = " ".join(str(error).split()) or "without a message"
    words = text if type(error).__module__.startswith("wandb") else f"{type(error).__name__}: {text}"
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if source and frame.filename == source]
    if isinstance(error, SyntaxError) and error.filename == source:
        lines = [error.lineno]
    return f"line {lines[-1]} of {source}: {words}" if lines else words


_ANSWERS = {"check": _check, "ask": _ask, "prune": _prune}

if __name__ == "__main__":
    main()

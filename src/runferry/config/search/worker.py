"""Ask an engine for points, or whether a run is to be pruned: W&B's own classes, in a process of their own.

It is run by its path, also by the Python of another environment, and so imports nothing of runferry's: a request comes
on stdin, the answer goes to stdout, both JSON. The optimizer is made anew each time and told all that is in the
search's file, so that a process that was killed changes nothing.

Optuna's and Ax's are asked again for every point, in the order in which all was asked and told: the same seed and
results lead to the same points as one optimizer that lives through the whole search. Ax takes half a second for a
point, so that its client is also kept in a file, as Ax writes it, and only what came since is asked and told again; the
file may be removed. Where that leads elsewhere (a sampler without a seed), and with W&B's own engine, which keeps
nothing, the points are adopted as W&B's scheduler does after a restart, seeded by how many there are.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import tempfile
import traceback
from pathlib import Path
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
    optimizer, runs = _resumed(request)
    if optimizer.has_terminator() and optimizer.should_terminate_sweep():
        return {"points": [], "ended": "its terminator ended it"}
    answer: dict[str, Any] = {"points": [], "ended": None}
    for _ in range(request["count"]):
        asked = _next(optimizer, request, len(runs))
        if not asked:
            answer["ended"] = "its engine has no more points" if asked is not None else None
            answer["declined"] = asked is None
            break
        runs[len(runs) + 1] = asked[0].run_id
        answer["points"].append(_parameters(asked))
    if _engine(request) == "ax" and answer["points"]:
        _keep(optimizer, request, runs, answer["points"])
    return answer


def _prune(request: dict[str, Any]) -> dict[str, Any]:
    optimizer, runs = _adopted(request)
    for number, history in request["running"].items():
        if runs.get(int(number)) is not None:
            _tell_rows(optimizer, runs[int(number)], history)
    run, data = runs[request["number"]], _data("running", {}, request["running"][str(request["number"])])
    return {"pruned": run is not None and run in optimizer.prune_runs([run], [data])}


def _make(request: dict[str, Any]) -> Any:
    from wandb.sdk.sweeps.scheduler.optimizer import make_optimizer
    from wandb.sdk.sweeps.sweep_info import SweepInfo

    _seed(request["seed"])
    name = request["name"]
    optimizer: Any = make_optimizer(SweepInfo(name, name, "", "", request["config"], ""))
    _quiet()
    if _engine(request) == "optuna" and not request["config"]["scheduler"].get("optimizer"):
        # W&B's class makes a study without a seed; the user's own function says what it wants.
        optimizer.study.sampler = type(optimizer.study.sampler)(seed=request["seed"])
    return optimizer


def _engine(request: dict[str, Any]) -> str:
    return request["config"]["scheduler"]["engine"]


def _parameters(asked: Any) -> dict[str, Any]:
    return json.loads(json.dumps(asked[0].config.flat_dict(), default=_plain))


def _next(optimizer: Any, request: dict[str, Any], number: int) -> Any:
    """Ask for the point that comes after `number` others."""
    if _engine(request) == "ax":
        # What a client keeps but does not write, models to begin from, would have its points depend on its last start.
        _renew(optimizer)
        _seed(_seed_after(request, number))
    return optimizer.ask_n_runs(1)


def _resumed(request: dict[str, Any]) -> tuple[Any, dict[int, Any]]:
    """Return the optimizer that has been asked and told all that is in the request, and its names for the runs."""
    if _engine(request) != "wandb":
        found = _replayed(request)
        if found is not None:
            return found
    optimizer, runs = _adopted(request)
    if _engine(request) == "ax" and runs:
        # A new client chooses one point by its rule for the first ones before it sees how many there are.
        for one in optimizer.ask_n_runs(1) or ():
            optimizer.forget_run(one.run_id)
    return optimizer, runs


def _replayed(request: dict[str, Any]) -> tuple[Any, dict[int, Any]] | None:
    """Ask and tell again in the same order; None where that leads to other points."""
    optimizer = _make(request)
    runs, done = _take_kept(optimizer, request) if _engine(request) == "ax" else ({}, 0)
    for event in request["events"][done:]:
        if "told" in event:
            _tell(optimizer, runs[event["told"]], event)
            continue
        asked = _next(optimizer, request, len(runs))
        if not asked or _parameters(asked) != event["parameters"]:
            return None
        runs[event["asked"]] = asked[0].run_id
    return optimizer, runs


def _renew(optimizer: Any) -> str | None:
    """Write an Ax client, read it again, and return what was written; None where a user's cannot be written."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "client.json"
        try:
            optimizer.client.save_to_json_file(str(file))
            optimizer.client = optimizer.client.load_from_json_file(str(file))
        except Exception:  # noqa: BLE001 - whatever the parts of a user's client raise
            return None
        return file.read_text()


def _keep(optimizer: Any, request: dict[str, Any], runs: dict[int, Any], points: list[dict[str, Any]]) -> None:
    """Write the file from which the next request begins; one that was cut off or is ahead of the search is not used."""
    client = _renew(optimizer)
    if client is None:
        return
    first = len(runs) - len(points) + 1
    events = [*request["events"], *({"asked": first + n, "parameters": point} for n, point in enumerate(points))]
    kept = {"of": _recipe(request), "events": [_said(event) for event in events], "runs": runs, "client": client}
    file = Path(request["kept"])
    written = file.with_suffix(f".{os.getpid()}")
    written.write_text(json.dumps(kept))
    written.replace(file)


def _take_kept(optimizer: Any, request: dict[str, Any]) -> tuple[dict[int, Any], int]:
    """Give the optimizer the client that was kept; return its names for the runs, and how many events it knows."""
    try:
        kept = json.loads(Path(request["kept"]).read_text())
        count = len(kept["events"])
        if kept["of"] == _recipe(request) and kept["events"] == [_said(event) for event in request["events"][:count]]:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "client.json"
                file.write_text(kept["client"])
                optimizer.client = optimizer.client.load_from_json_file(str(file))
            return {int(number): run for number, run in kept["runs"].items()}, count
    except Exception:  # noqa: BLE001 - it is not there, was cut off, or another version of Ax wrote it
        pass
    return {}, 0


def _recipe(request: dict[str, Any]) -> list[Any]:
    source = request["source"]
    return [request["seed"], request["config"], Path(source).read_text() if source else None]


def _said(event: dict[str, Any]) -> list[Any]:
    """Return what of an event the engine knows."""
    if "told" in event:
        return [event["told"], event["state"], event["summary"], event["history"]]
    return [event["asked"], event["parameters"]]


def _adopted(request: dict[str, Any]) -> tuple[Any, dict[int, Any]]:
    """Have the optimizer take over the points, as W&B's scheduler does after a restart; then tell their results."""
    from wandb.sdk.sweeps.run_state import RunState
    from wandb.sdk.sweeps.scheduler.optimizer import Run, RunConfig

    asked = [event for event in request["events"] if "asked" in event]
    seed = _seed_after(request, len(asked))
    optimizer = _make({**request, "seed": seed})
    runs: dict[int, Any] = {}
    for event in asked:
        run = Run(RunConfig.from_values(event["parameters"]), RunState.RUNNING, str(event["asked"]))
        runs[event["asked"]] = optimizer.tell_existing_active_run(run)
    for event in request["events"]:
        if "told" in event and runs[event["told"]] is not None:
            if request["do"] == "prune":
                _tell_rows(optimizer, runs[event["told"]], event["history"])
            _tell(optimizer, runs[event["told"]], event)
    _seed(seed)
    return optimizer, runs


def _tell_rows(optimizer: Any, run: Any, history: list[dict[str, Any]]) -> None:
    """Tell the rows of a run, on which pruners decide: Ax's optimizer takes the last one of each call alone."""
    steps = [history] if getattr(optimizer, "client", None) is None else [[row] for row in history]
    for rows in steps:
        optimizer.tell_run(run, _data("running", {}, rows))


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
    elif client is not None and event["history"]:
        client.mark_trial_early_stopped(trial_index=int(run))
        pruned = True
    if not pruned:
        optimizer.tell_run(run, _data("killed", event["summary"], event["history"]))


def _data(state: str, summary: dict[str, Any], history: list[dict[str, Any]]) -> Any:
    from wandb.sdk.sweeps.run_state import RunState
    from wandb.sdk.sweeps.scheduler.optimizer import RunConfig, RunWithMetrics

    # The summary of a W&B run has the step of its last row, too.
    step = {"_step": history[-1]["_step"]} if summary and history else {}
    return RunWithMetrics(RunConfig({}), RunState(state), "", {**step, **summary}, history)


def _seed_after(request: dict[str, Any], number: int) -> int:
    return request["seed"] * 100_003 + number


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

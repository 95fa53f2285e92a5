"""Ask the engine of a search, in a process of its own (`worker.py`): a second and some 100 MB, Ax ten and 460 MB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.config.search.state import Event, SearchRecord

_WORKER = Path(__file__).with_name("worker.py")
_MOST_WORDS = 300


def ask_engine(
    begun: SearchRecord, python: Path | str = sys.executable, events: Sequence[Event] = (), **request: Any
) -> dict[str, Any]:
    """Send a request to the engine and return its answer.

    Parameters
    ----------
    begun
        The content of `search.json`.
    python
        The Python that has the engine.
    events
        As `runferry.config.search.state.events_that_hold` returns them.
    request
        `do`, one of "check", "ask" and "prune", and what that needs.

    Raises
    ------
    ConfigError
        When the engine, or a source file, fails.
    """
    whole: dict[str, Any] = {
        "name": begun.experiment,
        "config": _for_engine(begun),
        "seed": begun.seed,
        "source": begun.source,
        "events": [event.to_json() for event in events],
        **request,
    }
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    # A login node, which other people use too, or a core that the training needs.
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    done = subprocess.run(
        [python, "-W", "ignore", str(_WORKER)],
        input=json.dumps(whole),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        answer = {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    if "error" in answer:
        key = "scheduler.source" if begun.source else "scheduler"
        message = f"{begun.where}: {key}: found that {begun.engine} fails ({answer['error'][:_MOST_WORDS]})"
        raise ConfigError(f"{message}, expected what W&B's sweep scheduler takes")
    return answer


def _for_engine(begun: SearchRecord) -> dict[str, Any]:
    """Return the definition as W&B's classes take it: engine and source are what was found."""
    definition: dict[str, Any] = dict(begun.definition)
    scheduler = dict(definition.get("scheduler") or {})
    scheduler["engine"] = begun.engine
    if begun.source:
        scheduler["source"] = begun.source
    definition["scheduler"] = scheduler
    return definition

"""A training that counts for itself what it logs, and what the tests of early ends ask of it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from support.slurm.user import attempts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.slurm.user import User

# It saves a checkpoint after each step where it is told to, and goes on from it. Each step that it logs it writes down
# in two files of its own, before and after: what it has trained is what stands in the second, and of the first the
# last step of an attempt may have been logged when it was killed.
TRAIN = """
import os, pathlib, signal, subprocess, sys, time, wandb

steps, pause, *options = int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:]
folder = pathlib.Path(os.environ["RUNFERRY_RUN_FOLDER"])
checkpoint = pathlib.Path(os.environ["RUNFERRY_CHECKPOINTS"], "step")
stop = []
if "heed" in options:
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
if "deaf" in options:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
run = wandb.init()
(folder / "job").write_text(os.environ["SLURM_JOB_ID"])
(folder / "pid").write_text(str(os.getpid()))
begun, logged = (folder / "begun").open("a"), (folder / "logged").open("a")
first = int(checkpoint.read_text()) if checkpoint.exists() else 0
attempt = int(os.environ["RUNFERRY_ATTEMPT"])
for step in range(first, steps):
    print(attempt, step, file=begun, flush=True)
    run.log({"loss": step}) if "automatic" in options else run.log({"loss": step}, step=step)
    print(attempt, step, file=logged, flush=True)
    if "save" in options:
        checkpoint.with_suffix(".new").write_text(str(step + 1))
        checkpoint.with_suffix(".new").rename(checkpoint)
    if f"until {attempt}" in options and step >= first + 5:
        break
    if "fail" in options and step == 3:
        sys.exit(3)
    if "fill" in options and step == 3:
        hoard = bytearray(os.urandom(1 << 20) * 800)
    time.sleep(pause)
    stop += [True] if stop else []
    # "slow": it logs a while before it is ready to stop.
    if len(stop) > (12 if "slow" in options else 0):
        run.finish()
        sys.exit(0)
run.finish()
"""


def experiment(user: User, steps: int, pause: float, *options: str, **settings: Any) -> dict[str, Any]:
    """One run of so many steps, with a pause (s) after each; `settings` are the experiment's, or its resources.

    `python` among them is the interpreter, with another wandb than the user's.
    """
    resources = {"memory": "1G", "cores": 2, "time": "15m", **settings.pop("resources", {})}
    python = str(settings.pop("python", user.python))
    return {"command": [python, "train.py", str(steps), str(pause), *options], "resources": resources, **settings}


def logged(run: Path) -> list[int]:
    """The steps that the training has counted, each once, in order."""
    lines = (run / "logged").read_text().splitlines()
    return sorted({int(line.split()[1]) for line in lines})


def run_of(user: User, name: str) -> Path:
    """The folder of an experiment's only run."""
    (run,) = user.runs(name)
    return run


def reasons(run: Path) -> list[str | None]:
    """Why each attempt ended; None where it finished."""
    return [record["reason"] for record in attempts(run)]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Wait for a condition and return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


def has_logged(user: User, name: str, steps: int) -> Callable[[], bool]:
    """Whether the only run of an experiment has logged so many steps."""

    def enough() -> bool:
        files = list((user.folder / "results" / name).glob("*/logged"))
        return bool(files) and len(files[0].read_text().splitlines()) >= steps

    return enough


def assert_held_once(server: Any, run: Path, steps: list[int] | None = None) -> dict[str, Any]:
    """The server holds each step that was trained, once, in order, without a hole, under the number that was meant."""
    held = server.run("demo", "tests", run.name)
    found = [(row["_step"], row["loss"]) for row in held["history"]]
    wanted = set(logged(run) if steps is None else steps)
    # What was being logged when the process was killed may be there or not.
    allowed = wanted | (_last_begun(run) if steps is None else set())
    numbers = [step for step, _ in found]
    assert found == [(step, step) for step in sorted(set(numbers))]
    assert wanted <= set(numbers) <= allowed, f"{len(wanted)} trained, {len(numbers)} on the server"
    if steps is None:
        assert numbers == list(range(len(numbers)))
    return held


def _last_begun(run: Path) -> set[int]:
    """The step that each attempt had begun to log last."""
    lines = [line.split() for line in (run / "begun").read_text().splitlines()]
    return {int(step) for step in dict(lines).values()}


def receipt(run: Path) -> dict[str, Any]:
    """The run's receipt."""
    return json.loads((run / "receipt.json").read_text())

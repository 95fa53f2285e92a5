"""Run W&B's `sweeps` package in an environment of its own: it needs numpy below 2, unlike all else here.

Built once for a user, on the login node, below `$XDG_CACHE_HOME/runferry` (some 400 MB), when it first
chooses a run. Nothing imports it: it is asked in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError, PackingError
from runferry.system.locks import turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REQUIREMENTS = ("sweeps==0.3.0", "numpy<2", "wandb>=0.31")
"""wandb has the class that drives it in a search; rounds ask it themselves."""

NEWEST_PYTHON = (3, 12)
"""The last one for which numpy below 2 has wheels (numpy 1.26.4 on the package index)."""

_ASK = """
import json, random, sys
import numpy
asked = json.load(sys.stdin)
random.seed(asked["seed"])
numpy.random.seed(asked["seed"] % 2**32)
from sweeps import next_runs
from sweeps.run import SweepRun
runs = [SweepRun(**run) for run in asked["runs"]]
chosen = next_runs(asked["sweep"], runs, n=asked["count"])
def plain(value):
    return value.item() if isinstance(value, numpy.generic) else value.tolist()
json.dump([{name: item["value"] for name, item in run.config.items()} for run in chosen], sys.stdout, default=plain)
"""


def next_runs(
    definition: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], count: int, seed: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return the parameters of the next runs, as the package chooses them.

    Parameters
    ----------
    definition
        The sweep's; `method: bayes`.
    runs
        Those so far: `config` (name -> {"value": ...}), `state`, `history` (rows) of each.
    count, seed
        How many are wanted, and what makes the choice the same every time.
    say
        Takes a line for the user who waits.

    Raises
    ------
    ConfigError
        When there is no Python that the package runs on.
    PackingError
        When it cannot be installed or does not answer.
    """
    asked = {"sweep": definition, "runs": list(runs), "count": count, "seed": seed}
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    # It is the login node, which other people use too.
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [find_python(say), "-W", "ignore", "-c", _ASK],
        input=json.dumps(asked),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a message"])[-1]
        raise PackingError(f"sweeps: found no answer to which run is next ({last}), expected parameters")
    return json.loads(done.stdout)


def find_python(say: Callable[[str], None]) -> Path:
    """Return the Python of the package's environment, which is built where it does not exist.

    Raises
    ------
    ConfigError, PackingError
        As `next_runs` does.
    """
    base = _base_python()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "runferry"
    folder = cache / f"{REQUIREMENTS[0].replace('==', '-')}-wandb-{Path(base).name}-{sys.implementation.cache_tag}"
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if complete.exists():
        return python
    cache.mkdir(parents=True, exist_ok=True)
    with turn(folder.with_name(f"{folder.name}.lock")):
        if not complete.exists():
            say(f"building the environment of W&B's sweeps package in {folder} (once)")
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-P", "-m", "virtualenv", "--no-periodic-update", "--python", base, str(folder)])
            _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS])
            complete.touch()
    return python


def _base_python() -> str:
    if sys.version_info[:2] <= NEWEST_PYTHON:
        return sys.executable
    for minor in range(NEWEST_PYTHON[1], 10, -1):
        if shutil.which(f"python3.{minor}"):
            return f"python3.{minor}"
    found = f"{sys.version_info[0]}.{sys.version_info[1]}"
    message = (
        f"bayes: found Python {found}, for which numpy below 2 has no wheel, and neither python3.12 nor python3.11"
    )
    raise ConfigError(f"{message}; expected one of the two on PATH, which W&B's sweeps package needs")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["without a message"])[-1]
        message = (
            f"sweeps: found that its environment could not be built ({last}), expected the package index to be reached"
        )
        raise PackingError(message)

"""Wait for `import wandb` in each Python of a job; loaded before the training starts.

It is copied as `sitecustomize.py` into a folder that the launcher puts first in PYTHONPATH, so it must do with the
standard library of whatever Python the training has. Every Python that a job starts pays for it, and there may be
thousands: it imports nothing that is not loaded already. What there is to do for wandb is in a file of its own
(`runferry.trackers.wandb.hook`), which is loaded when wandb is.
"""

import os
import sys
from _frozen_importlib import module_from_spec
from _frozen_importlib_external import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

JOB_FILE = "job"
"""Beside this file: what the launcher says, as NAME=value with a zero byte after each."""
RUN_ID = "id"
"""In it: the run's id. Those of its names that begin with WANDB_ are variables of wandb's."""
HOOK = "runferry_wandb_hook"
"""The name of the module beside this one that is loaded with wandb."""

_WATCHED = (
    "wandb.sdk.wandb_init",
    "wandb.sdk.artifacts.artifact",
    "wandb.sdk.wandb_sweep",
    "wandb.wandb_agent",
)


class _Watcher:
    """Sees wandb being imported (a finder of `sys.meta_path`)."""

    def __init__(self, job: "dict[str, str]", folder: str) -> None:
        self._job = job
        self._folder = folder

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":  # noqa: ARG002 - the protocol's
        if name == "wandb":
            _restore_variables(self._job)
        if name not in _WATCHED:
            return None
        hook = sys.modules.get(HOOK) or _load(HOOK, [self._folder])
        return hook.find(name, path, self._job)


def _read_job(folder: str) -> "dict[str, str]":
    with open(os.path.join(folder, JOB_FILE), encoding="utf-8") as file:
        lines = [line.partition("=") for line in file.read().split("\0") if line]
    job = {name: value for name, _, value in lines}
    # They are for a Python that does not load this (-I, -E): there all that it begins is taken for one W&B run.
    if os.environ.get("WANDB_RUN_ID") in (None, job[RUN_ID]) and os.environ.get("WANDB_RESUME") == "allow":
        os.environ.pop("WANDB_RUN_ID", None)
        del os.environ["WANDB_RESUME"]
    _restore_variables(job)
    return job


def _restore_variables(job: "dict[str, str]") -> None:
    """Set what a script, or what started it, has taken out of the variables: without them rows lie elsewhere."""
    for name, value in job.items():
        if name.startswith("WANDB_"):
            os.environ.setdefault(name, value)


def _load(name: str, folders: "list[str]") -> "Any":
    """Load the module of a name in the first of some folders that has it; None where none has."""
    spec = PathFinder.find_spec(name, folders)
    if spec is None or spec.loader is None:
        return None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _begin() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    try:
        sys.meta_path.insert(0, _Watcher(_read_job(here), here))  # pyright: ignore[reportArgumentType]
    except (OSError, ValueError, KeyError) as error:
        # The job has ended, and this is a process that it left behind.
        sys.stderr.write(f"runferry: W&B runs get ids of wandb's own ({error})\n")
    # The `sitecustomize` that this one stands before, if there is one: sites have their own.
    _load("sitecustomize", [folder for folder in sys.path if os.path.abspath(folder) != here])


if __name__ == "sitecustomize":
    _begin()

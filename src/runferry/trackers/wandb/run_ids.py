"""Assign each W&B run of a job an id that stays the same when the job is continued.

The first W&B run that a script gives no id gets the run's own, `<run>`; where there are ranks, that of rank 0. Others
get `<run>-2`, `<run>-3` and so on, in the order in which they begin.

What is the same W&B run in a later attempt is found by what the training's Python says of it: rank, program and its
arguments, the number of a `multiprocessing` worker, the name and the job type that the script gives, and its place
among those of which all this is equal (by process, then within a process). Where there is none that is equal:

- a name that one W&B run alone had is that one's again, in whichever process;
- a W&B run that has not ended well continues under other arguments (`train.py` and `train.py --resume`).

All others are new.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runferry.system.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "ids.json"
"""In the folder with the segments; it is removed when a job has ended well that had one W&B run."""

_PROCESS = ("rank", "program", "arguments", "process", "name", "job_type", "thread")
_ARGUMENTS, _NAME = _PROCESS.index("arguments"), _PROCESS.index("name")


class RunIds:
    """Gives out the ids of one attempt; may be asked by several threads.

    Parameters
    ----------
    file
        Keeps them for later attempts.
    run
        The run's own id, from which all are derived.
    earlier
        Returns the ids of the W&B runs that earlier attempts have written segments of, the first one first.
    ended_well
        Returns whether the last of these segments says that its W&B run ended with exit code 0.
    own
        Whether one of the W&B runs may have the run's own id.
    """

    def __init__(
        self,
        file: Path,
        run: str,
        earlier: Callable[[], list[str]],
        ended_well: Callable[[str], bool],
        *,
        own: bool = True,
    ) -> None:
        self._file = file
        self._run = run
        self._earlier = earlier
        self._ended_well = ended_well
        self._own = own
        self._lock = threading.Lock()
        found = _read(file)
        self._elsewhere: list[str] = found["elsewhere"]
        # By id: what it was given for.
        self._known: dict[str, list[Any]] = {each["id"]: each["for"] for each in found["runs"]}
        self._kept = frozenset(self._known)
        self._given: dict[str, list[Any]] = {}
        self._opened: set[str] = set()
        # By what is equal: the processes that have asked, in order, and how often each has.
        self._asked: dict[str, dict[int, int]] = defaultdict(dict)
        # By id: the process that asked for it last, and as what.
        self._last: dict[str, tuple[int, str]] = {}

    def answer(self, asked: dict[str, Any], process: int) -> dict[str, Any]:
        """Return the id of a W&B run that is about to begin.

        Parameters
        ----------
        asked
            What `runferry.trackers.wandb.hook` says of it; where the script gives it an id, only that.
        process
            The number of its process.

        Returns
        -------
        dict
            `id`; `first`, whether it is the one that bears the run's name; `continues`, whether an earlier attempt has
            begun it.
        """
        with self._lock:
            run = asked.get("id") or self._id_for(asked, process)
            earlier = self._earlier()
            # Where the script gives ids the run's own may not be there.
            begins = "id" in asked and (earlier[0] == run if earlier else not self._opened - {run})
        return {
            "id": run,
            "first": run == self._run or begins,
            "continues": run in self._kept or run in earlier,
        }

    def opened(self, run: str, elsewhere: str | None) -> None:
        """Keep for later attempts that a W&B run begins, and the folder of its segment where that is not the job's."""
        with self._lock:
            self._opened.add(run)
            is_new = run in self._given and run not in self._known
            if is_new:
                self._known[run] = self._given[run]
            if elsewhere and elsewhere not in self._elsewhere:
                self._elsewhere.append(elsewhere)
            elif not is_new:
                return
            runs = [{"id": each, "for": key} for each, key in self._known.items()]
            # A training is not held up by it.
            with suppress(OSError):
                write_json(self._file, {"runs": runs, "elsewhere": self._elsewhere})

    def _id_for(self, asked: dict[str, Any], process: int) -> str:
        equal = [asked.get(each) for each in _PROCESS]
        key = json.dumps(equal)
        unused = asked.get("unused")
        if unused and self._last.get(unused) == (process, key):
            # That wandb.init raised an error, or returned the W&B run that was open already.
            return unused
        counts = self._asked[key]
        counts[process] = counts.get(process, 0) + 1
        wanted = [*equal, list(counts).index(process) + 1, counts[process]]
        run = self._found(wanted) or self._new(asked)
        self._given[run] = wanted
        self._last[run] = (process, key)
        return run

    def _found(self, wanted: list[Any]) -> str | None:
        """Return the id that an earlier attempt gave for the same."""
        left = {run: key for run, key in self._known.items() if run not in self._given}
        for run, key in left.items():
            if key == wanted:
                return run
        if wanted[_NAME] is not None:
            named = [run for run, key in self._known.items() if key[_NAME] == wanted[_NAME]]
            if len(named) == 1 and named[0] in left:
                return named[0]
        other = [run for run, key in left.items() if _without_arguments(key) == _without_arguments(wanted)]
        return other[0] if len(other) == 1 and not self._ended_well(other[0]) else None

    def _new(self, asked: dict[str, Any]) -> str:
        taken = {*self._known, *self._given}
        if self._own and self._run not in taken and asked.get("rank") in (None, "0"):
            return self._run
        number = 2 if self._own else 1
        while (run := f"{self._run}-{number}") in taken:
            number += 1
        return run


def elsewhere(wandb_folder: Path) -> list[str]:
    """Return the folders of segments that were begun outside `wandb_folder`, also those that are gone by now."""
    return _read(wandb_folder / FILE)["elsewhere"]


def forget_single(wandb_folder: Path, run: str) -> None:
    """Remove what is kept for later attempts of a job that has ended well and had one W&B run: a site counts files."""
    file = wandb_folder / FILE
    found = _read(file)
    if len(found["runs"]) <= 1 and all(each["id"] == run for each in found["runs"]):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _read(file: Path) -> dict[str, list[Any]]:
    # One that cannot be read is as none: ids are given out anew then, behind those of the segments.
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = read_json(file)
        return {
            "runs": [{"id": each["id"], "for": each["for"]} for each in found["runs"]],
            "elsewhere": found["elsewhere"],
        }
    return {"runs": [], "elsewhere": []}


def _without_arguments(key: list[Any]) -> list[Any]:
    return [*key[:_ARGUMENTS], *key[_ARGUMENTS + 1 :]]

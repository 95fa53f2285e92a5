"""Find the code that has changed since runs were trained, for the plan."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.runs.attempt_record import TrainedRecord
from runferry.runs.code import FOLDER, CodeState, read_state, take_state
from runferry.runs.state import DONE, UNSYNCED
from runferry.system.text import count_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from runferry.config.experiment import Experiment
    from runferry.workflow.plan.model import ExperimentPlan

_MOST_NAMES = 3
_MOST_STATES = 200
"""States that a plan compares, the newest."""


def code_notes(results: Path, experiments: Mapping[str, Experiment], planned: Iterable[ExperimentPlan]) -> list[str]:
    """Return a line for each experiment with runs that were trained from code that has changed since.

    Parameters
    ----------
    results
        The folder of the experiments.
    experiments
        By name.
    planned
        Their plans, for the states of their runs.
    """
    known = _known_states(results)
    if not known:
        return []
    found: list[str] = []
    for one in planned:
        trained = [run.id for run in one.runs if run.state in {DONE, UNSYNCED}]
        current = _current(experiments[one.name].workdir, known.values()) if trained else None
        if current is None:
            continue
        changes = {
            key: state.files_changed_until(current) for key, state in known.items() if state.root == current.root
        }
        if not any(changes.values()):
            continue
        # Only now: one file of each run is read.
        counted = Counter(filter(None, (_code_of(results / one.name / run) for run in trained)))
        names = dict.fromkeys(name for key in counted for name in changes.get(key, ()))
        count = sum(number for key, number in counted.items() if changes.get(key))
        if count:
            found.append(_line(one.name, _without_config(names, experiments[one.name]), count))
    return list(filter(None, found))


def _line(experiment: str, names: Collection[str], count: int) -> str:
    if not names:
        return ""
    shown = ", ".join(list(names)[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more files" if len(names) > _MOST_NAMES else ""
    return (
        f"code: {shown}{more} {'has' if len(names) == 1 else 'have'} changed since {count_of(count, 'run')} of "
        f"{experiment} {'was' if count == 1 else 'were'} trained; --forcerun train trains "
        f"{'it' if count == 1 else 'them'} again"
    )


def _without_config(names: Iterable[str], experiment: Experiment) -> list[str]:
    """Leave the sweep definition out: what it says of a run is the run."""
    sweep = Path(experiment.sweep.where).name if experiment.sweep else ""
    return [name for name in names if Path(name).name != sweep]


def _known_states(results: Path) -> dict[str, CodeState]:
    files: list[tuple[float, Path]] = []
    with suppress(OSError):
        files = [(file.stat().st_mtime, file) for file in (results / FOLDER).glob("*.json")]
    known: dict[str, CodeState] = {}
    for _, file in sorted(files, reverse=True)[:_MOST_STATES]:
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            known[file.stem] = read_state(file)
    return known


def _current(workdir: Path, known: Iterable[CodeState]) -> CodeState | None:
    resolved = workdir.resolve()
    for state in known:
        # Stamps first: what has not changed is not read again.
        if resolved.is_relative_to(state.root) and state.is_current():
            return state
    with suppress(OSError):
        return take_state(resolved)
    return None


def _code_of(folder: Path) -> str | None:
    with suppress(OSError, ValueError):
        code = TrainedRecord.read(folder / "trained.json").code
        return Path(code.state).stem if code else None
    return None

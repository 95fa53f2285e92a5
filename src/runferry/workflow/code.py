"""Note the code when Snakemake starts, for the jobs of that start."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from runferry.launch.code import VARIABLE
from runferry.runs.code import FOLDER, take_state, write_state
from runferry.runs.code_snapshot import check_pinned, pin
from runferry.system.messages import say
from runferry.system.text import count_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runferry.config.experiment import Experiment


def check_code(experiments: Iterable[Experiment]) -> None:
    """Refuse to pin what is too large for it.

    Raises
    ------
    ConfigError
        As `runferry.runs.code_snapshot.check_pinned`.
    """
    for workdir in {experiment.workdir for experiment in experiments if experiment.pinned}:
        check_pinned(workdir)


def note_code(results: Path, experiments: Iterable[Experiment]) -> None:
    """Write down the code of all experiments, as a snapshot where it is pinned, and tell the jobs which it is.

    Each job inherits the variable from this process, whatever executor submits it.
    """
    # Another use of the workflow in this Snakemake, as a module, has its own.
    found: dict[str, str] = json.loads(os.environ.get(VARIABLE, "{}"))
    for workdir, pinned in sorted({(experiment.workdir.resolve(), experiment.pinned) for experiment in experiments}):
        try:
            if pinned:
                state = pin(results, workdir)
                say(f"code: pinned: jobs of this start run {state.key} ({count_of(len(state.files), 'file')})")
            elif state := take_state(workdir):
                write_state(results, state)
            else:
                continue
        except OSError as error:
            say(f"code: not noted: {error.filename or results}: {error.strerror}")
            continue
        found[str(workdir)] = str((results / FOLDER / f"{state.key}.json").resolve())
    os.environ[VARIABLE] = json.dumps(found)

"""Set up a job so that everything its command logs to Comet is kept."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.trackers.api_keys import HOLDER_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord
    from runferry.trackers.wandb.core import InstalledCore

#: Taken from the command, or set for it: keys, and what would make it another experiment.
_OWNED_VARIABLES = (
    *HOLDER_VARIABLES,
    *HOLDER_VARIABLES.values(),
    "COMET_EXPERIMENT_KEY",
    "COMET_START_EXPERIMENT_TAGS",
    "COMET_START_MODE",
    "COMET_WORKSPACE",
)


@dataclass(frozen=True)
class CometInJob:
    """Sets up the jobs of runs that log to Comet (see `runferry.trackers.tracker.TrackerInJob`)."""

    first_call: str = "comet_ml.start"

    def folders(self, folder: RunFolder) -> tuple[Path, ...]:
        """Return the folder of the segments: Comet falls back to /tmp when it cannot write to it."""
        return (folder.path / "comet",)

    def job_variables(
        self, folder: RunFolder, run: RunRecord, attempt: int, place: Path, inherited: Mapping[str, str]
    ) -> dict[str, str]:
        """Return variables for an offline `comet_ml.start`: a folder for the attempt, one experiment for all.

        The hook that keeps what it writes (`runferry.trackers.comet.hook`) goes into the run's folder, where a
        container and a node without this package find it.
        """
        from runferry.system.files import write_atomically, write_new

        comet, own = run.of_comet, folder.path.absolute() / "comet"
        hook, key = own / "python" / "sitecustomize.py", own / "experiment_key"
        source = Path(__file__).with_name("hook.py").read_text()
        if not hook.is_file() or hook.read_text() != source:
            write_atomically(hook, source)
        # Not from the run's id, which another user's run of the same sweep has as well: a key is Comet's for all.
        write_new(key, uuid.uuid4().hex)
        given = {
            "COMET_EXPERIMENT_KEY": key.read_text().strip(),
            "COMET_OFFLINE_DIRECTORY": str(place / "comet" / f"attempt-{attempt}"),
            "COMET_PROJECT_NAME": comet.project,
            "COMET_START_EXPERIMENT_NAME": run.name,
            "COMET_START_EXPERIMENT_TAGS": ",".join([comet.group, *comet.tags]),
            "COMET_START_ONLINE": "0",
            "COMET_WORKSPACE": comet.workspace,
            # A container has none of this machine's Python path, and the run's folder at the same place.
            "APPTAINERENV_PYTHONPATH": str(hook.parent),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(hook.parent), inherited.get("PYTHONPATH")))),
            "RUNFERRY_COMET_WARNING_SIGNAL": run.warning.signal if run.warning else None,
        }
        kept = {name: value for name, value in inherited.items() if name not in _OWNED_VARIABLES}
        return kept | {name: value for name, value in given.items() if value}

    def modules(self, run: RunRecord) -> Sequence[str]:  # noqa: ARG002 - the interface's
        """Return no environment modules."""
        return ()

    def core(self, command: Sequence[str], search_path: str) -> InstalledCore | None:
        """Return None: comet_ml writes in the training's own process, and each message at once."""

    def finish_seconds(self, run: RunRecord) -> float | None:
        """Return None: there is nothing to wait for."""

    def segments(self, folder: RunFolder) -> list[Path]:
        """Return the folders `comet/attempt-<n>`."""
        from runferry.trackers.comet.reading import list_segments

        return list_segments(folder)

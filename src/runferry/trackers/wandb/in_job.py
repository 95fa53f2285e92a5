"""Set up a job so that everything its command logs to W&B is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.trackers.api_keys import HOLDER_VARIABLE, KEY_VARIABLE
from runferry.trackers.wandb import mode as wandb_mode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord
    from runferry.trackers.wandb.core import InstalledCore

#: Seconds between two writes of what wandb-core holds (wandb 0.31 and later; 15 by default). It matters when
#: everything is killed at once, or the node is lost: then what was logged since the last write is lost. Shorter costs
#: appends on the shared filesystem: a run that logs all the time makes one per interval.
FLUSH_SECONDS = 2

#: Set for the command, or taken from it, whatever the user's shell says.
_OWNED_VARIABLES = (
    HOLDER_VARIABLE,
    KEY_VARIABLE,
    "WANDB_ENTITY",
    "WANDB_SERVICE",
    "WANDB_TAGS",
)


@dataclass(frozen=True)
class WandbInJob:
    """Sets up the jobs of runs that log to W&B (see `runferry.trackers.tracker.TrackerInJob`)."""

    first_call: str = "wandb.init, or gave it a dir= of its own"

    def folders(self, folder: RunFolder) -> tuple[Path, ...]:
        """Return the folders of segments and staged files: wandb falls back to /tmp when it cannot write to them."""
        return (folder.wandb_folder, folder.data_folder)

    def job_variables(
        self,
        folder: RunFolder,
        run: RunRecord,
        attempt: int,  # noqa: ARG002 - the interface's
        place: Path,
        inherited: Mapping[str, str],
    ) -> dict[str, str]:
        """Return the variables of the command: no key for offline jobs; the run's name, group and place."""
        wandb = run.of_wandb
        given = {
            "WANDB_BASE_URL": wandb.base_url,
            "WANDB_DATA_DIR": str(folder.path.absolute() / folder.data_folder.name),
            "WANDB_DIR": str(place),
            "WANDB_ENTITY": wandb.entity,
            "WANDB_NAME": run.name,
            "WANDB_PROJECT": wandb.project,
            "WANDB_RESUME": "allow",
            "WANDB_RUN_GROUP": wandb.group,
            "WANDB_RUN_ID": run.id,
            "WANDB_TAGS": ",".join(wandb.tags),
            "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": str(FLUSH_SECONDS),
        }
        kept = {name: value for name, value in inherited.items() if name not in _OWNED_VARIABLES}
        if wandb_mode.is_online(wandb.mode) and (key := inherited.get(KEY_VARIABLE)):
            # Without it wandb looks into ~/.netrc.
            kept[KEY_VARIABLE] = key
        of_mode = wandb_mode.variables(wandb)
        # What the config says of how long wandb tries is the user's.
        of_mode = {name: value for name, value in of_mode.items() if name not in run.variables}
        return kept | {name: value for name, value in given.items() if value} | of_mode

    def modules(self, run: RunRecord) -> Sequence[str]:
        """Return the environment modules of an online run."""
        return run.of_wandb.modules

    def core(self, command: Sequence[str], search_path: str) -> InstalledCore | None:
        """Find the training environment's wandb-core."""
        from runferry.trackers.wandb.core import find_core

        return find_core(list(command), search_path)

    def finish_seconds(self, run: RunRecord) -> float | None:
        """Return the seconds that an online run takes to send the rest."""
        return wandb_mode.core_seconds(run.of_wandb)

    def segments(self, folder: RunFolder) -> list[Path]:
        """Return the folders `offline-run-*` and `run-*`."""
        return folder.segments()

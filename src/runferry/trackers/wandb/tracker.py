"""W&B as the tracker of a run: see `runferry.trackers.tracker`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.trackers.api_keys import HOLDER_VARIABLE, KEY_VARIABLE
from runferry.trackers.wandb import mode as wandb_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment
    from runferry.runs.folder import RunFolder
    from runferry.sync.outcome import Limits, Outcome
    from runferry.system.progress import Progress
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
class WandbTracker:
    """W&B: transaction logs that wandb-core writes, `wandb sync`, and a comparison over W&B's API."""

    name: str = "wandb"
    title: str = "W&B"
    first_call: str = "wandb.init, or gave it a dir= of its own"

    def check(self, config: Mapping[str, Any], cluster: Cluster) -> None:
        """Refuse `wandb.mode: online` where the site's page says no (see `admission.check_mode`)."""
        from runferry.config.site_limits import check_mode

        check_mode(config["wandb"], cluster)

    def check_experiment(self, experiment: Experiment, others: Mapping[str, Experiment]) -> None:
        """Refuse nothing."""

    def settings(self, config: Mapping[str, Any], cluster: Cluster) -> dict[str, Any]:
        """Return the config's section, and what an online job has to do here (see `admission.wandb_of_runs`)."""
        from runferry.config.site_limits import wandb_of_runs

        return wandb_of_runs(config["wandb"], cluster)

    def mode(self, config: Mapping[str, Any], cluster: Cluster) -> tuple[str, str]:
        """Return the mode, with the site's own reason."""
        facts = cluster.wandb
        if wandb_mode.is_online(config["wandb"]):
            metrics = "metrics only, the sync brings the files; " if facts.availability == "limited" else ""
            return "online", f"{metrics}the site says: {facts.reason}"
        elsewhere = {"yes": "online is possible", "limited": "online is limited", "no": "online is not possible"}
        return "offline", f"the sync sends it; {elsewhere[facts.availability]}: {facts.reason}"

    def put_keys_away(self, config: Mapping[str, Any]) -> None:
        """Put W&B's key away, unless jobs are online and find it nowhere else."""
        from runferry.trackers.api_keys import put_away
        from runferry.trackers.wandb.login import job_finds_key

        online = wandb_mode.is_online(config["wandb"])
        put_away(needed_in_jobs=online and not job_finds_key(config["wandb"]["base_url"]))

    def folders(self, folder: RunFolder) -> tuple[Path, ...]:
        """List those of the segments and of what is staged: wandb falls back to /tmp when it cannot write to them."""
        return (folder.wandb_folder, folder.data_folder)

    def job_variables(
        self,
        folder: RunFolder,
        run: Mapping[str, Any],
        attempt: int,  # noqa: ARG002 - the interface's
        place: Path,
        inherited: Mapping[str, str],
    ) -> dict[str, str]:
        """Keep the key out of offline jobs; name the run, its group and its place."""
        wandb = run["wandb"]
        given = {
            "WANDB_BASE_URL": wandb.get("base_url"),
            "WANDB_DATA_DIR": str(folder.path.absolute() / folder.data_folder.name),
            "WANDB_DIR": str(place),
            "WANDB_ENTITY": wandb.get("entity"),
            "WANDB_NAME": run["name"],
            "WANDB_PROJECT": wandb["project"],
            "WANDB_RESUME": "allow",
            "WANDB_RUN_GROUP": wandb["group"],
            "WANDB_RUN_ID": run["id"],
            "WANDB_TAGS": ",".join(wandb.get("tags") or []),
            "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": str(FLUSH_SECONDS),
        }
        kept = {name: value for name, value in inherited.items() if name not in _OWNED_VARIABLES}
        if wandb_mode.is_online(wandb) and (key := inherited.get(KEY_VARIABLE)):
            # Without it wandb looks into ~/.netrc.
            kept[KEY_VARIABLE] = key
        return kept | {name: value for name, value in given.items() if value} | wandb_mode.variables(wandb)

    def modules(self, run: Mapping[str, Any]) -> Sequence[str]:
        """List those of an online run."""
        return run["wandb"].get("modules", ())

    def core(self, command: Sequence[str], search_path: str) -> InstalledCore | None:
        """Find the training environment's wandb-core."""
        from runferry.trackers.wandb.core import find_core

        return find_core(list(command), search_path)

    def finish_seconds(self, run: Mapping[str, Any]) -> float | None:
        """Return the time that an online run takes to send the rest."""
        return wandb_mode.core_seconds(run["wandb"])

    def segments(self, folder: RunFolder) -> list[Path]:
        """List the folders `offline-run-*` and `run-*`."""
        return folder.segments()

    def given_base_url(self, run: Mapping[str, Any]) -> str | None:
        """Name the config's `wandb.base_url`, else `$WANDB_BASE_URL`."""
        from runferry.trackers.wandb.address import given_base_url

        return given_base_url(run["wandb"].get("base_url"))

    def carrier(
        self, base_url: str | None, limits: Limits, results: Path, log: IO[str] | None, progress: Progress
    ) -> Callable[[Sequence[Outcome]], str | None]:
        """Find the server, and hand runs to `runferry.sync.wandb.carrier`."""
        from runferry.sync.wandb.carrier import Ferry
        from runferry.sync.wandb.job import jobs_of
        from runferry.trackers.wandb.login import find_server

        server = find_server(base_url, deadline=limits.deadline, say=progress.say)
        ferry = Ferry(server, limits, results, log, progress)
        return lambda outcomes: ferry.carry(jobs_of(outcomes))

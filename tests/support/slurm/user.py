"""A person on the login node of the test cluster, and what the tests ask of what that person's runs left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runferry.trackers.wandb.log.segment import history
from support.paths import ROOT

if TYPE_CHECKING:
    from support.slurm.cluster import Cluster

# The profile is the site's own; only its patience is not for tests.
QUICK = ["--max-jobs-per-timespan", "20/1s", "--latency-wait", "5", "--runferry-init-seconds-before-status-checks", "3"]
# The same for somebody whose own profile says `executor: slurm`.
PLUGIN = ["--executor", "slurm", "--slurm-init-seconds-before-status-checks", "3", "--slurm-status-command", "squeue"]


class User:
    """A person in a folder on the login node, with a training script and a config.

    Attributes
    ----------
    folder
        Where Snakemake is called.
    environment
        The variables of the person's shell.
    python
        The interpreter of the training, with the newest wandb where the tests are not told another (TRAINING_WANDB).
    """

    python = sys.executable

    def __init__(self, folder: Path, cluster: Cluster, script: str, **environment: str) -> None:
        self.folder = folder
        self.cluster = cluster
        self.environment = {key: value for key, value in cluster.environment.items() if not key.startswith("WANDB_")}
        self.environment |= {
            "WANDB_ERROR_REPORTING": "false",
            "SBATCH_ACCOUNT": "def-test",
            "PWD": str(folder),
            **environment,
        }
        (folder / "config").mkdir(parents=True)
        (folder / "train.py").write_text(script)

    def configure(self, experiments: dict[str, Any], **rest: Any) -> None:
        """Write the config."""
        config = {"wandb": {"project": "tests"}, "experiments": experiments, **rest}
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def command(self, profile: str, *arguments: str) -> list[str]:
        """The words with which this person calls Snakemake."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
        return [*command, "--profile", str(ROOT / "profiles" / profile), *QUICK, *arguments]

    def snakemake(self, profile: str, *arguments: str, seconds: int = 240) -> subprocess.CompletedProcess[str]:
        """Call Snakemake and wait for it, so many seconds at most."""
        return subprocess.run(
            ["timeout", "--foreground", str(seconds), *self.command(profile, *arguments)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, profile: str, *arguments: str) -> subprocess.Popen[str]:
        """Call Snakemake and leave it running, in a session of its own, its output in `controller.log`."""
        with (self.folder / "controller.log").open("a") as log:
            return subprocess.Popen(
                self.command(profile, *arguments),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def runs(self, experiment: str) -> list[Path]:
        """The folders of an experiment's runs."""
        return sorted(file.parent for file in (self.folder / "results" / experiment).glob("*/run.json"))

    def seen(self, experiment: str) -> list[dict[str, Any]]:
        """What each run's script wrote into `seen.json`."""
        return [json.loads((run / "seen.json").read_text()) for run in self.runs(experiment)]

    def jobs(self) -> list[str]:
        """The ids of the jobs of this folder that are in the queue."""
        queue = self.cluster.run("squeue", "--noheader", "--format=%i %Z")
        return [
            job for job, place in (line.split(maxsplit=1) for line in queue.splitlines()) if place == str(self.folder)
        ]

    def job_of(self, experiment: str) -> str:
        """The id of the job in the queue that trains an experiment's only run."""
        queue = self.cluster.run("squeue", "--noheader", "--format=%i|%k|%Z")
        fields = [line.split("|") for line in queue.splitlines()]
        (job,) = [job for job, comment, place in fields if place == str(self.folder) and f"_{experiment}_" in comment]
        return job


def attempts(run: Path) -> list[dict[str, Any]]:
    """The records of a run's attempts, first to last."""
    return [
        json.loads(file.read_text()) for file in sorted((run / "attempts").glob("*.json"), key=lambda f: int(f.stem))
    ]


def rows_on_disk(run: Path, metric: str) -> list[Any]:
    """The values of a metric in all segments of a run, in the order in which they were logged."""
    segments = sorted(run.glob("wandb/*run-*"), key=lambda folder: folder.name.removeprefix("offline-"))
    return [row[metric] for segment in segments for row in history(segment) if metric in row]

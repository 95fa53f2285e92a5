"""Submit one short job, when asked, that looks at a compute node of a site that is not known."""

from __future__ import annotations

import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.doctor.answer import NoAnswerError, answer_of
from runferry.doctor.learn.models import account_for, tiers_for
from runferry.doctor.learn.requests import gpu_request
from runferry.system.files import read_json, write_atomically
from runferry.trackers.api_keys import without_keys

if TYPE_CHECKING:
    from runferry.doctor.learn.models import Model
    from runferry.doctor.learn.requests import Accepted
    from runferry.doctor.learn.slurm import Seen


@dataclass(frozen=True)
class NodeSeen:
    """What the job has seen.

    Attributes
    ----------
    reached
        Whether W&B's server answers.
    how
        What it answered, or why not.
    disk
        Bytes of `$SLURM_TMPDIR`; None where there is none.
    gpu_memory
        MiB of each of its GPUs, as nvidia-smi lists them.
    """

    reached: bool
    how: str
    disk: int | None
    gpu_memory: list[int]


def probe_node(seen: Seen, accepted: Accepted, model: Model | None, url: str, patience: float) -> NodeSeen | str:
    """Submit the job and wait for its end; return what it saw, or why it saw nothing.

    Parameters
    ----------
    model
        Of which it has a GPU; None has none.
    patience
        Seconds that it may wait and run; then it is cancelled.
    """
    kind, what = ("gpu", model.name) if model else ("cpu", "cpu")
    tiers, account, partition = tiers_for(seen, what), account_for(seen, what), accepted.partitions.get(kind)
    with tempfile.TemporaryDirectory(prefix=".runferry-doctor-", dir=Path.cwd()) as name:
        folder = Path(name)
        run = shlex.join([sys.executable, "-m", "runferry.doctor.learn.node", str(folder / "seen.json"), url])
        write_atomically(folder / "job.sh", f"#!/bin/bash\nexec {run}\n")
        command = ["sbatch", "--wait", "--parsable", f"--job-name={folder.name}", f"--output={folder}/job.log"]
        command += ["--time=5", "--cpus-per-task=1"]
        command += [f"--account={account}"] if account else []
        command += [f"--qos={tiers[0][0]}"] if tiers else []
        command += [f"--partition={partition}"] if partition else []
        command += gpu_request(accepted.option, model) if model else []
        try:
            answer_of(*command, str(folder / "job.sh"), seconds=patience, variables=without_keys())
            given: dict[str, Any] = read_json(folder / "seen.json")
        except (NoAnswerError, OSError, ValueError) as error:
            _cancel(folder.name)
            return str(error)
        return NodeSeen(**given)


def _cancel(job_name: str) -> None:
    try:
        answer_of("scancel", f"--name={job_name}")
    except NoAnswerError:
        return

"""Word the command of a job that trains: the launcher in a step of its own, so that it hears what Slurm sends.

Slurm sends a signal to the task of each step and to none of its descendants, where it follows processes by cgroup. So
the task is the launcher, which passes signals on; between it and the batch script there is `srun` and nothing else.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from runferry.launch.parts import THREADS

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEMPORARY_VARIABLES = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")

# What sbatch puts into the batch script's variables for the tasks of the whole job: srun would take it for options of
# this one task.
_NOT_FOR_THE_STEP = (
    "SLURM_NTASKS_PER_CORE",
    "SLURM_NTASKS_PER_GPU",
    "SLURM_NTASKS_PER_NODE",
    "SLURM_NTASKS_PER_SOCKET",
    "SLURM_GPUS_PER_TASK",
    "SLURM_TRES_PER_TASK",
    "SLURM_DISTRIBUTION",
)


def launcher_call(job: Any, words: Sequence[str], python: str, seconds: float) -> str:
    """Return the shell command that starts the launcher of a training in its job.

    Parameters
    ----------
    job
        Snakemake's; its threads, its `cpus_per_task` and its `tmpdir` are looked at, and where it is one of several
        for a run, the `variables` that tell the launcher so.
    words
        What follows `runferry` on the command line.
    python
        The interpreter that has runferry.
    seconds
        For which the launcher waits for files that the node's filesystem does not show yet: `--latency-wait`.
    """
    variables = dict.fromkeys(THREADS, str(job.threads)) | {"RUNFERRY_LATENCY_WAIT": f"{seconds:g}"}
    variables |= getattr(job, "variables", {})
    temporary = job.resources.get("tmpdir")
    # Unless somebody named one, it is not known before the job runs, and is the node's own.
    if type(temporary) is str and temporary:
        variables |= dict.fromkeys(_TEMPORARY_VARIABLES, temporary)
    cores = job.resources.get("cpus_per_task") or job.threads
    call = ["env", *(word for name in _NOT_FOR_THE_STEP for word in ("-u", name)), "srun", "--nodes=1", "--ntasks=1"]
    # A site may refuse to be told.
    call += ["--cpu-bind=q", *([f"--cpus-per-task={cores}"] if int(cores) > 0 else [])]
    call += ["env", *(f"{name}={value}" for name, value in variables.items())]
    # -P: the working directory is the user's, whose files are not to be imported for the library's.
    return shlex.join([*call, python, "-P", "-m", "runferry", *words])


def quoted_for_wrap(call: str) -> str:
    """Quote a command for the plugin, which puts it between double quotes for the shell that calls sbatch.

    Double quotes are left to it (2.8.0 quotes them; before, no command with one can be submitted).
    """
    for special in ("\\", "$", "`"):
        call = call.replace(special, f"\\{special}")
    return call

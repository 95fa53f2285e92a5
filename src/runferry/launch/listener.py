"""Start a step of the launcher's own that hears what Slurm sends, where the launcher is not the task of a step.

Slurm sends a signal to the task of each step and to none of its descendants (where it follows processes by cgroup). The
executor `runferry` makes the launcher that task. Elsewhere it is not: under `executor: slurm` the task is a Snakemake,
which passes nothing on, and in a script for sbatch there may be no step at all. There the launcher starts one, whose
task is a small shell that passes each signal on to it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runferry.system.signals import JOB_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

HEARD_VARIABLE = "RUNFERRY_SIGNALS_HEARD"
"""Tells launchers that the process that started them hears Slurm's signals and passes them on."""

#: Slurm's variables that a new step needs. The others are options of the step that this process runs in, and srun would
#: take them for its own.
KEPT_VARIABLES = ("SLURM_CLUSTER_NAME", "SLURM_CONF", "SLURM_JOB_ID", "SLURM_SUBMIT_DIR", "SLURM_SUBMIT_HOST")

# A shell's `wait` ends when a signal comes; the sleep is its child and would outlive nothing.
_TASK = """
for signal in $1; do trap "kill -s $signal $0" "$signal"; done
while kill -0 "$0" 2>/dev/null; do sleep 60 & wait $!; done
"""


SLURMS = ("SLURM_", "SLURMD_", "SRUN_", "PMI_", "PMIX_", "PMI2_")
"""How the variables begin that Slurm sets for each task of a step."""


def variables_of_step() -> dict[str, str]:
    """Return this process's variables for an srun that starts another step of the job."""
    return {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES or not name.startswith(SLURMS)}


def hears(variables: Mapping[str, str], pid: int) -> bool:
    """Return whether a process hears what Slurm sends to its job: as a step's task, or by who started it.

    Outside of a job there is nothing to hear.
    """
    if "SLURM_JOB_ID" not in variables or variables.get(HEARD_VARIABLE) == variables["SLURM_JOB_ID"]:
        return True
    # The batch script's shell is a task, too, and is sent nothing unless somebody asks for it.
    return variables.get("SLURM_TASK_PID") == str(pid) and variables.get("SLURM_STEP_ID", "").isdigit()


@contextmanager
def heard() -> Generator[None]:
    """Have this process hear what Slurm sends, by a step of its own where it needs one."""
    # The first is a variable that Slurm sets on compute nodes alone: a shell of salloc's may be on the login node.
    here = "SLURMD_NODENAME" in os.environ and shutil.which("srun") is not None
    needed = here and not hears(os.environ, os.getpid())
    before = os.environ.get(HEARD_VARIABLE)
    step = _start() if needed else None
    if job := os.environ.get("SLURM_JOB_ID"):
        os.environ[HEARD_VARIABLE] = job
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(HEARD_VARIABLE, None)
        else:
            os.environ[HEARD_VARIABLE] = before
        if step:
            # srun ends the step at this.
            step.terminate()
            step.wait()


def _start() -> subprocess.Popen[bytes] | None:
    signals = " ".join(signal.name.removeprefix("SIG") for signal in JOB_SIGNALS)
    # Overlapping the step in which this process runs; it needs nothing of the job's.
    options = ["--overlap", "--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--mem=0", "--gres=none", "--quiet"]
    options.append(f"--nodelist={os.environ['SLURMD_NODENAME']}")
    command = ["srun", f"--jobid={os.environ['SLURM_JOB_ID']}", *options, "sh", "-c", _TASK, str(os.getpid()), signals]
    try:
        return subprocess.Popen(
            command,
            env=variables_of_step(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # What is sent to all of a terminal's processes is not for srun.
            start_new_session=True,
        )
    except OSError:
        return None

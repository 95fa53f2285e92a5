"""Keep the tracker's key out of the jobs that Snakemake submits, and pass it to the `runferry sync` that it runs.

`sbatch --export=ALL`, which the slurm plugin calls, hands a job every variable of the process that submits it. So the
key is taken out of that process's variables, into a file in memory that is no child's to inherit; a child of the same
user on the same machine that is told which process holds it can open it through /proc. The job is told, too, and has
nothing of it: on its node there is no such process above it.

The variables that the process was started with, in /proc/<pid>/environ, hold the key as well and would do, but not
where it came later: from a `.env` file that a Snakefile reads, or from a program that calls Snakemake's API.

An online job needs a key. Where ~/.netrc has the same one, which the job reads itself, it is put away all the same;
else it stays, and travels in the job's variables: then `scontrol show job` does not show it, but the site's Slurm
has stored it with the job until the job has ended.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from runferry.system.processes import parent_of, start_of

HOLDER_VARIABLE = "RUNFERRY_KEY_HOLDER"
"""Tells children where the key is: `<process id>-<start of the process>-<file descriptor>`."""
KEY_VARIABLE = "WANDB_API_KEY"
COMET_KEY_VARIABLE = "COMET_API_KEY"
HOLDER_VARIABLES = {KEY_VARIABLE: HOLDER_VARIABLE, COMET_KEY_VARIABLE: "RUNFERRY_COMET_KEY_HOLDER"}
"""For each key the variable that tells where it is."""


def put_away(variable: str = KEY_VARIABLE, *, needed_in_jobs: bool = False) -> None:
    """Remove the key from this process's variables, and keep it for its children (see `held_key`).

    Call it before anything is submitted; the second call does nothing. Where it is not set nothing is done.

    Parameters
    ----------
    variable
        The key's: one of `HOLDER_VARIABLES`.
    needed_in_jobs
        True where jobs are online and do not find the key elsewhere: then it stays.
    """
    key = os.environ.get(variable)
    # Elsewhere there is neither /proc nor a Slurm to submit to.
    if not key or needed_in_jobs or not hasattr(os, "memfd_create"):
        return
    started = start_of(os.getpid())
    if started is None:
        return
    # Close-on-exec, as Python opens everything: only this process, and a fork of it, has it.
    file = os.memfd_create("runferry-key")
    os.write(file, key.encode())
    os.environ[HOLDER_VARIABLES[variable]] = f"{os.getpid()}-{started}-{file}"
    del os.environ[variable]


def held_key(variable: str = KEY_VARIABLE) -> str | None:
    """Return the key that an ancestor of this process has put away; None when there is none or it cannot be read."""
    try:
        holder, started, file = map(int, os.environ.get(HOLDER_VARIABLES[variable], "").split("-"))
    except ValueError:
        return None
    if start_of(holder) != started or not _is_above(holder):
        # Another machine's, or another process has got its number.
        return None
    with suppress(OSError):
        return Path(f"/proc/{holder}/fd/{file}").read_text() or None
    return None


def has_lost_holder() -> bool:
    """Return whether this process was told which one holds a key, and that one has ended: it was killed, say."""
    given = filter(None, map(os.environ.get, HOLDER_VARIABLES.values()))
    return any(not _is_above(int(value.partition("-")[0])) for value in given)


def _is_above(pid: int) -> bool:
    candidate = os.getpid()
    while candidate > 1:
        if candidate == pid:
            return True
        candidate = parent_of(candidate)
    return False


def keys_here() -> dict[str, str]:
    """Return the keys of this process's variables, and those that an ancestor has put away, by their variables."""
    found = {variable: os.environ.get(variable) or held_key(variable) for variable in HOLDER_VARIABLES}
    return {variable: key for variable, key in found.items() if key}


def without_keys() -> dict[str, str]:
    """Return this process's variables without keys, for sbatch, which hands them to the job."""
    left_out = {*HOLDER_VARIABLES, *HOLDER_VARIABLES.values()}
    return {name: value for name, value in os.environ.items() if name not in left_out}

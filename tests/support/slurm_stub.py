"""Slurm's commands for tests without a Slurm: sbatch writes down how it was called, and each job has failed at once.

The executor plugin that calls them is the real one. tests/cluster has a real Slurm.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# The jobs, as squeue and sacct list them: <id>|FAILED.
_JOBS = 'cd "$STUB_FOLDER/jobs" && for job in *; do [ -e "$job" ] && echo "$job|FAILED"; done; exit 0'
_COMMANDS = {
    "sbatch": """
        call=$STUB_FOLDER/calls/$(date +%s.%N)
        printf '%s\\0' "$@" >"$call.part"
        : >"$STUB_FOLDER/jobs/$$"
        mv "$call.part" "$call"
        echo $$
    """,
    # As the real one does, where $SINFO_PARTITION names no partition that there is.
    "sinfo": """
        echo PARTITION
        [ -n "$SINFO_PARTITION" ] || echo 'cpubase_bycore_b1*'
    """,
    "squeue": _JOBS,
    "sacct": f'case "$*" in *Reason*) exit 0;; esac; {_JOBS}',
    "sacctmgr": 'echo asked >>"$STUB_FOLDER/sacctmgr"; printf "%s\\n" $STUB_ACCOUNTS',
    "sshare": "exit 0",
    "scontrol": "echo 'MinJobAge = 300 sec'; echo 'MaxArraySize = 1001'",
    "scancel": "exit 0",
}
_REAL = {*_COMMANDS, "srun", "salloc", "sattach", "sstat", "sprio", "sreport", "strigger", "sbcast", "sdiag"}


@dataclass(frozen=True)
class SlurmStub:
    """The commands, in a folder that comes first on PATH, and what they were asked."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return {"PATH": path, "STUB_FOLDER": str(self.folder), "STUB_ACCOUNTS": ""}

    @property
    def submissions(self) -> list[tuple[float, list[str]]]:
        """When sbatch was called (seconds since the epoch), and with what."""
        files = [file for file in (self.folder / "calls").iterdir() if file.suffix != ".part"]
        return sorted((float(file.name), file.read_text().split("\0")[:-1]) for file in files)

    @property
    def times_asked_for_accounts(self) -> int:
        file = self.folder / "sacctmgr"
        return len(file.read_text().splitlines()) if file.exists() else 0


def make_stub(folder: Path) -> SlurmStub:
    for name in ("bin", "calls", "jobs"):
        (folder / name).mkdir(parents=True)
    for name, script in _COMMANDS.items():
        file = folder / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    return SlurmStub(folder)


def path_without_slurm(folder: Path) -> str:
    """Give a PATH on which everything is but Slurm: a laptop's."""
    folder.mkdir()
    for directory in reversed(os.environ["PATH"].split(os.pathsep)):
        if Path(directory).is_dir():
            for program in Path(directory).iterdir():
                if program.name not in _REAL:
                    link = folder / program.name
                    link.unlink(missing_ok=True)
                    link.symlink_to(program)
    return str(folder)

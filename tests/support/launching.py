"""Starts the launcher as a process of its own, as a job does, and looks at what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from runferry.runs.folder import RunFolder

WANDB_VERSIONS = ["0.22.3", "0.27.2", "0.31.0"]

LAUNCH = """
import json, sys
from pathlib import Path
from runferry.errors import RunferryError
from runferry.launch.core_keeper import TimeLimits
from runferry.launch.launch import launch
from runferry.runs.folder import RunFolder

try:
    sys.exit(launch(RunFolder(Path(sys.argv[1])), limits=TimeLimits(**json.loads(sys.argv[2]))))
except RunferryError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""

KEY = "0123456789" * 4


def make_run(folder: Path, command: list[str], **changes: Any) -> RunFolder:
    run = {
        "id": "k3j9",
        "name": "digits lr=0.1",
        "experiment": "digits",
        "command": command,
        "parameters": {},
        "workdir": str(folder.parent),
        "environment": None,
        "wandb": {
            "project": "digits",
            "entity": None,
            "group": "digits",
            "tags": ["a", "b c"],
            "mode": "offline",
            "base_url": None,
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run | changes))
    return RunFolder(folder)


def start(
    folder: RunFolder, variables: dict[str, str] | None = None, *, before: str = "", **limits: float
) -> subprocess.Popen[str]:
    """Start the launcher, which runs the code in `before` first."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "SLURM"))}
    return subprocess.Popen(
        [sys.executable, "-c", before + LAUNCH, folder.path, json.dumps(limits)],
        env=environment | (variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test runner in the background of a shell has SIGINT ignored, and would pass that on.
        preexec_fn=_interruptible,  # noqa: PLW1509 - the tests start no threads
    )


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_to_end(folder: RunFolder, variables: dict[str, str] | None = None, **limits: float) -> tuple[int, str]:
    """Launch and return the exit code and what was printed on stderr."""
    launcher = start(folder, variables, **limits)
    _, errors = launcher.communicate(timeout=120)
    return launcher.returncode, errors


def wait_for(condition: Any, what: str) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited a minute for {what}")


def wait_for_line(folder: RunFolder, text: str) -> None:
    def is_there() -> bool:
        found = lines(folder) if folder.log_file.exists() else []
        assert text in found or not found or not found[-1].startswith("runferry: run "), found
        return text in found

    wait_for(is_there, f"the line {text!r} in {folder.log_file}")


def lines(folder: RunFolder) -> list[str]:
    return folder.log_file.read_text(errors="replace").splitlines()


def running_descendants(pid: int) -> list[int]:
    """All processes below `pid`, zombies left out."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = int(fields[1])
    found = [pid]
    for above in found:
        found += [child for child, parent in parents.items() if parent == above]
    return found[1:]


def process_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def printed(folder: RunFolder, what: str):
    return next(json.loads(line.removeprefix(what)) for line in lines(folder) if line.startswith(what))


def job_variables(job: str) -> dict[str, str]:
    # With its end, so that no Slurm that may be up on this machine is asked for a job of that number.
    return {"SLURM_JOB_ID": job, "SLURM_JOB_END_TIME": "4102444800"}


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]

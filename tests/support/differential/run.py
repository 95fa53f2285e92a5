"""Runs scripts with one version of wandb, plainly online or through runferry, and says what arrived of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry_standin import running_process
from support.differential.case import SCRIPTS
from support.differential.server import held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runferry_standin import StandIn
    from support.differential.case import Case

AT_ONCE = 4
"""Scripts: most of an online run's time is waiting for its server."""
SCRIPT_SECONDS = 60
LIBRARIES = ("numpy", "numpy.libs", "PIL", "pillow.libs")
"""What media are made with; wandb asks for neither, and the environments of each version have wandb alone."""


@dataclass
class Arrived:
    """What became of a script on one way.

    Attributes
    ----------
    exit_codes
        One for each start.
    runs
        What the server holds (see `support.differential.server.held`).
    truth
        What the script says that it has logged.
    output
        What it printed, or its launcher, and its log.
    problems
        What the sync said of its runs; on the plain way nothing.
    receipts
        Of its jobs, in their order; None for one without.
    """

    exit_codes: list[int] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    truth: list[dict[str, Any]] = field(default_factory=list)
    output: str = ""
    problems: list[str] = field(default_factory=list)
    receipts: list[dict[str, Any] | None] = field(default_factory=list)


def run_online(cases: Sequence[Case], python: Path, folder: Path) -> dict[str, Arrived]:
    """Run scripts as a user does who has the internet, against a stand-in; return what arrived, by the script's name.

    Parameters
    ----------
    cases
        The scripts; `python`'s wandb can run them all.
    python
        Of the training environment.
    folder
        An empty one, for all that is written.
    """
    _prepare(folder)
    with running_process() as server, ThreadPoolExecutor(AT_ONCE) as pool:
        arrived = dict(
            zip(_names(cases), pool.map(lambda case: _Way(case, python, folder).online(server), cases), strict=True)
        )
        for case in cases:
            arrived[case.name].runs = _held(server, case)
    return arrived


def run_launched(cases: Sequence[Case], python: Path, folder: Path) -> dict[str, Arrived]:
    """Run scripts through `runferry launch`, then sync them; as `run_online` else."""
    _prepare(folder)
    with running_process() as server, ThreadPoolExecutor(AT_ONCE) as pool:
        arrived = dict(
            zip(_names(cases), pool.map(lambda case: _Way(case, python, folder).launched(), cases), strict=True)
        )
        calls = [[case for case in cases if not case.alone], *([case] for case in cases if case.alone)]
        said = "".join(pool.map(lambda these: _sync(these, folder, server), calls)).splitlines()
        for case in cases:
            arrived[case.name].runs = _held(server, case)
            folders = [_Way(case, python, folder).run_folder(job) for job in range(len(case.jobs))]
            arrived[case.name].receipts = [_receipt(each) for each in folders]
            arrived[case.name].problems = [line for line in said if any(f"{each}: " in line for each in folders)]
    return arrived


def _names(cases: Sequence[Case]) -> list[str]:
    return [case.name for case in cases]


def _prepare(folder: Path) -> None:
    # Away from the repository: wandb would look at its state. One name for all, since it is printed in tracebacks.
    scripts = folder.parent / "scripts"
    if not scripts.exists():
        partial = folder.with_name(f"{folder.name}-scripts")
        shutil.copytree(SCRIPTS, partial, ignore=shutil.ignore_patterns("__pycache__"))
        with suppress(OSError):
            partial.rename(scripts)
    folder.mkdir()
    _link_libraries(folder / "libraries")


@dataclass(frozen=True)
class _Way:
    """One script on one of the two ways, with a working directory that all its jobs share."""

    case: Case
    python: Path
    root: Path

    @property
    def home(self) -> Path:
        return self.root / "homes" / self.case.name

    @property
    def results(self) -> Path:
        # One results folder is synced by one call.
        return self.root / (f"results-{self.case.name}" if self.case.alone else "results")

    def run_folder(self, job: int) -> Path:
        return self.results / self.case.name / f"{self.case.name}-{job}"

    def online(self, server: StandIn) -> Arrived:
        """Run all its jobs as a user does who has the internet."""
        return self._run(lambda _job, words: words, server.environment, online=True)

    def launched(self) -> Arrived:
        """Run all its jobs as a job of runferry's does."""

        def command(job: int, words: list[str]) -> list[str]:
            folder = self.run_folder(job)
            return [sys.executable, "-m", "runferry", "launch", str(folder), "--entity", self.case.name, "--", *words]

        # Nobody is there: a run that asks a server finds out at once.
        arrived = self._run(command, {"WANDB_BASE_URL": "http://127.0.0.1:9"}, online=False)
        for job in range(len(self.case.jobs)):
            log = self.run_folder(job) / "train.log"
            arrived.output += log.read_text(errors="replace") if log.exists() else ""
        return arrived

    def _run(self, command: Any, variables: Mapping[str, str], *, online: bool) -> Arrived:
        arrived = Arrived()
        work = self.home / "work"
        work.mkdir(parents=True)
        truth = self.home / "truth.jsonl"
        for job, arguments in enumerate(self.case.jobs):
            words = self.case.words(self.python, self.root.parent / "scripts" / f"{self.case.name}.py", arguments)
            for attempt in range(1, self.case.attempts + 1):
                environment = _environment(self.home, self.root) | variables | self.case.environment
                environment |= {"TRUTH": str(truth)}
                if online:
                    environment |= {"WANDB_ENTITY": self.case.name, "RUNFERRY_ATTEMPT": str(attempt)}
                    if self.case.attempts > 1:
                        # As W&B's documentation has it for a job that goes on.
                        environment |= {"WANDB_RUN_ID": f"{self.case.name}-{job}", "WANDB_RESUME": "allow"}
                try:
                    done = subprocess.run(
                        command(job, words),
                        cwd=work,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                        errors="replace",
                        timeout=SCRIPT_SECONDS,
                        check=False,
                    )
                except subprocess.TimeoutExpired as error:
                    arrived.exit_codes.append(-1)
                    arrived.output += f"{error.output!r}\nno end within {SCRIPT_SECONDS} s\n"
                else:
                    arrived.exit_codes.append(done.returncode)
                    arrived.output += done.stdout
        if truth.exists():
            arrived.truth = [json.loads(line) for line in truth.read_text().splitlines()]
        return arrived


def _environment(home: Path, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "SLURM", "RUNFERRY"))}
    return kept | {
        "HOME": str(home),
        "PYTHONPATH": str(folder / "libraries"),
        "PYTHONUNBUFFERED": "1",
        # The machine's own metrics are no two times the same, and cost a third of a run's start.
        "WANDB_X_DISABLE_STATS": "true",
        # Tests talk to nobody outside: its makers' error reports go to another server.
        "WANDB_ERROR_REPORTING": "false",
        "NO_PROXY": "127.0.0.1",
    }


def _link_libraries(folder: Path) -> None:
    import PIL

    folder.mkdir()
    site = Path(PIL.__file__).parent.parent
    for name in LIBRARIES:
        (folder / name).symlink_to(site / name)


def _sync(cases: Iterable[Case], root: Path, server: StandIn) -> str:
    """Sync the runs of scripts in one call, as a user does after the jobs; return what it said."""
    folders = {_Way(case, Path(), root).results for case in cases}
    if not folders:
        return ""
    (results,) = folders
    done = subprocess.run(
        [sys.executable, "-m", "runferry", "sync", str(results), "--patience", "3", "--log", str(results / "sync.log")],
        cwd=root,
        env=_environment(root, root) | server.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=200,
    )
    return done.stdout


def _held(server: StandIn, case: Case) -> list[dict[str, Any]]:
    # A script that names an entity of its own takes this one.
    return held(server, case.name) + held(server, f"{case.name}-team")


def _receipt(folder: Path) -> dict[str, Any] | None:
    for name in ("receipt.json", "interim-receipt.json"):
        if (folder / name).exists():
            return json.loads((folder / name).read_text())
    return None

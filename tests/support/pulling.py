"""Runs at a site, and `runferry pull` that brings them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from runferry.runs.folder import RunFolder
from support.written_runs import write_run

if TYPE_CHECKING:
    from pathlib import Path

    from runferry_standin import StandIn

PROGRAM = f"{sys.executable} -m runferry"


def site_variables(folder: Path) -> dict[str, str]:
    """What a login shell of the site has: no key, no address of a server."""
    folder.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "HOME": str(folder)}


def pull(server: StandIn, ssh: str, results: Path, mirror: Path, *options: str) -> subprocess.CompletedProcess[str]:
    settle = [f"--sync-option={option}" for option in ("--settle=0.1", "--patience=3")]
    return pull_at_home(server, ssh, results, mirror.parent, *settle, f"--to={mirror}", *options)


def pull_at_home(
    server: StandIn, ssh: str, results: Path, home: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    """Pull in the folder `home` of somebody who has nothing else there; without `--to` the runs come below it."""
    return subprocess.run(
        [sys.executable, "-m", "runferry", "pull", f"--ssh={ssh}", f"--program={PROGRAM}", *options, f"site:{results}"],
        cwd=home,
        env=os.environ | server.environment | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def trained_at(results: Path, server: StandIn) -> list[RunFolder]:
    """Train two runs, with files and artifacts, and move the results: no path in their logs is right any more."""
    before = results.with_name("before")
    for name in ("one", "two"):
        folder = RunFolder(before / "experiment" / name)
        write_run(sys.executable, folder)
        run = json.loads(folder.run_file.read_text())
        run["wandb"]["base_url"] = server.url
        folder.run_file.write_text(json.dumps(run))
        for link in folder.path.glob("wandb/offline-run-*/files/notes.txt"):
            # As the launcher leaves it.
            content = link.read_bytes()
            link.unlink()
            link.write_bytes(content)
    before.rename(results)
    return [RunFolder(results / "experiment" / name) for name in ("one", "two")]

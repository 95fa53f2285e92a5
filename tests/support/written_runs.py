"""Runs that a real wandb of each version wrote offline, and whether a server holds just what they hold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.runs.folder import RunFolder
from runferry.system.files import write_json
from runferry.trackers.wandb.log.segment import history

if TYPE_CHECKING:
    from pathlib import Path

    from runferry_standin import StandIn

PROJECT = "tests"
SCRIPT = """
import pathlib, sys, wandb
first, last, exit_code, rich = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "rich"
run = wandb.init(config={"lr": 0.1, "deep": {"a": [1, 2]}})
print("on the console")
for step in range(first, last):
    run.log({"loss": 1 / (step + 1), "nested": {"a": step}}, step=step)
if rich:
    pathlib.Path("notes.txt").write_text("saved by " + wandb.__version__)
    run.save("notes.txt", policy="now")
    run.log({"page": wandb.Html("<p>" + wandb.__version__ + "</p>"), "loss": 0.0}, step=last)
    artifact = wandb.Artifact("model", type="model")
    artifact.add_file("notes.txt")
    run.log_artifact(artifact)
    run.config.update({"later": 5})
run.finish(exit_code)
"""
ROWS = 21
"""Of a run as `write_run` writes it: 20 of `SCRIPT`'s loop, one with a page."""


def write_run(
    python: Path, folder: RunFolder, last: int = 20, *, first: int = 0, exit_code: int = 0, rich: bool = True
):
    """Train with `python`'s wandb in `folder`, as an attempt that went well (or ended with `exit_code`)."""
    run = folder.path.name
    if not folder.run_file.exists():
        write_json(
            folder.run_file, {"id": run, "name": run, "wandb": {"project": PROJECT, "entity": None, "base_url": None}}
        )
    (folder.path / "work").mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {
        "HOME": str(folder.path),
        "WANDB_DIR": str(folder.path),
        "WANDB_DATA_DIR": str(folder.data_folder),
        "WANDB_CACHE_DIR": str(folder.path / "cache"),
        "WANDB_CONFIG_DIR": str(folder.path / "config"),
        "WANDB_MODE": "offline",
        "WANDB_RUN_ID": run,
        "WANDB_PROJECT": PROJECT,
        "WANDB_RESUME": "allow",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }
    words = [str(first), str(last), str(exit_code), "rich" if rich else "plain"]
    done = subprocess.run(
        [python, "-c", SCRIPT, *words],
        cwd=folder.path / "work",
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if exit_code == 0:
        write_json(folder.trained_file, {})


@dataclass(frozen=True)
class Written:
    """A results folder with one finished run of each version; copies of it are cheap."""

    results: Path
    pythons: dict[str, Path]

    def copied_to(self, results: Path) -> list[RunFolder]:
        """Copy the whole, and give the runs in the order of their versions.

        What the copies staged for their artifacts is found where the originals have it: the paths are in the segments.
        """
        shutil.copytree(self.results, results, symlinks=True)
        return [RunFolder(results / "experiment" / name_of(version)) for version in self.pythons]


def name_of(version: str) -> str:
    return "run-" + version.replace(".", "-")


def log_of(folder: RunFolder, number: int = 0) -> Path:
    return next(folder.segments()[number].glob("run-*.wandb"))


def rows_of(server: StandIn, folder: RunFolder) -> list[dict]:
    """What the server holds; nothing where it knows no such run."""
    try:
        return server.run("demo", PROJECT, folder.path.name)["history"]
    except LookupError:
        return []


def wrong(server: StandIn, folder: RunFolder) -> list[str]:
    """Say what the server does not hold as the disk does, by its own books and not by what it tells a client."""
    try:
        held = server.run("demo", PROJECT, folder.path.name)
    except LookupError:
        return ["no such run"]
    ours = [row for segment in folder.segments() for row in history(segment)]
    found = []
    if [row["_step"] for row in held["history"]] != [row["_step"] for row in ours]:
        found.append(f"steps {[row['_step'] for row in held['history']]}")
    elif [row["loss"] for row in held["history"]] != [row["loss"] for row in ours]:
        found.append("rows")
    if held["state"] != "finished":
        found.append(f"state {held['state']}")
    if held["config"] != {"lr": 0.1, "deep": {"a": [1, 2]}, "later": 5}:
        found.append(f"config {held['config']}")
    if held["summary"].get("loss") != 0.0 or held["summary"].get("nested") != {"a": 19}:
        found.append(f"summary {held['summary']}")
    files = {file["name"]: file["size_bytes"] for file in held["files"]}
    page = next(folder.path.glob("wandb/offline-run-*/files/media/html/*.html"), None)
    for name, size in {
        "notes.txt": len("saved by 0.22.3"),
        "requirements.txt": next(folder.path.glob("wandb/offline-run-*/files/requirements.txt")).stat().st_size,
        **({f"media/html/{page.name}": page.stat().st_size} if page else {}),
    }.items():
        if files.get(name) != size:
            found.append(f"file {name}: {files.get(name)} bytes, not {size}")
    if [artifact["state"] for artifact in held["artifacts"]].count("COMMITTED") != 1:
        found.append(f"artifacts {held['artifacts']}")
    return found


def receipt(folder: RunFolder) -> dict | None:
    return json.loads(folder.receipt_file.read_text()) if folder.receipt_file.exists() else None


def markers(folder: RunFolder) -> list[Path]:
    """What would make `wandb sync` skip the run and `wandb clean` delete it."""
    return list(folder.wandb_folder.glob("*/*.synced"))


def wait_for(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

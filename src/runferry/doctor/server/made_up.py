"""Write segments of made-up data with wandb itself, offline, that hold nothing of this machine or its user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runferry.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "runferry-doctor"
BIG = 2**53 + 1
"""The first integer that a double cannot hold."""
ROWS = 20
"""Of one segment."""
DEEPEST = 6
"""Dots of the summary's deepest value."""
SECONDS = 120.0

_SCRIPT = """
import json, sys, wandb
given = json.load(sys.stdin)
settings = wandb.Settings(
    mode="offline", silent=True, console="wrap", resume="allow", host=given["name"], program=given["name"],
    username=given["name"], email="", root_dir=given["folder"], disable_git=True, disable_code=True,
    disable_job_creation=True, x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True,
    x_save_requirements=False,
)
run = wandb.init(
    id=given["run"], name=given["name"], entity=given["entity"], project=given["project"], dir=given["folder"],
    config=given["config"], settings=settings,
)
for row in given["rows"]:
    run.log(row)
    print("a made-up line", flush=True)
run.summary.update(given["summary"])
run.finish(exit_code=given["exit_code"])
"""


@dataclass(frozen=True)
class MadeUpSegment:
    """What a segment is to hold.

    Attributes
    ----------
    run, entity, project : str
        Its place.
    first : int
        The number of its first row, over all segments.
    exit_code : int
        As it ends.
    """

    run: str
    entity: str
    project: str
    first: int = 0
    exit_code: int = 0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return its rows."""
        return [{"number": number, "big": BIG} for number in range(self.first, self.first + ROWS)]

    def as_json(self) -> dict[str, Any]:
        """Return what the script that writes it is told."""
        nested: dict[str, Any] = {"value": DEEPEST}
        for dots in range(DEEPEST - 1, 0, -1):
            nested = {"value": dots, "next": nested}
        content = {"rows": self.rows, "summary": {"nested": nested}, "config": {"big": BIG}}
        return {**asdict(self), **content, "name": NAME}


def write_segment(segment: MadeUpSegment, folder: Path) -> Path:
    """Write a segment into `folder/wandb`, which is not there yet, and return its own folder.

    Raises
    ------
    ServerError
        When wandb cannot write one here.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    variables |= {"WANDB_ERROR_REPORTING": "false", "WANDB_CONFIG_DIR": str(folder / "config")}
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            input=json.dumps({**segment.as_json(), "folder": str(folder)}),
            env=variables,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        said = done.stderr.strip().splitlines()[-1:] or ["nothing"]
    except subprocess.TimeoutExpired:
        said = [f"nothing for {SECONDS:g} s"]
    written = list(folder.glob("wandb/offline-run-*"))
    if len(written) != 1:
        raise ServerError(f"wandb: found no segment written ({said[0][:300]}), expected a made-up run in {folder}")
    return written[0]

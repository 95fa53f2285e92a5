"""An experiment's folder as the launcher and `runferry sync` leave it, with segments written by the real wandb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from runferry.runs.folder import RunFolder
from runferry.trackers.wandb.log.framing import write_log
from runferry.trackers.wandb.log.messages import parser

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Reads a list of segments to write from its standard input: each has the run's folder, id, name, config, the rows
# to log (with steps of their own where they have a "step") and an exit code.
_WRITER = """
import json, os, sys
import wandb
for segment in json.load(sys.stdin):
    run = wandb.init(
        dir=segment["folder"], id=segment["id"], name=segment["name"], project="digits", entity="lab",
        config=segment["config"], mode="offline", resume="allow",
        settings=wandb.Settings(silent=True, console="off"),
    )
    for row in segment["rows"]:
        run.log({key: value for key, value in row.items() if key != "step"}, step=row.get("step"))
    run.finish(exit_code=segment["exit_code"])
"""


def write_segments(segments: list[dict[str, Any]]) -> None:
    """Write each of `segments` (see above) with wandb, in order, in one process."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("WANDB_")}
    subprocess.run(
        [sys.executable, "-c", _WRITER],
        input=json.dumps(segments),
        text=True,
        check=True,
        capture_output=True,
        env=environment,
    )


def segment(folder: Path, name: str, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Describe a segment of the run in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {"folder": str(folder), "id": folder.name, "name": name, "config": {}, "exit_code": 0, **more}
    return {**given, "rows": rows}


def write_run(folder: Path, name: str, parameters: dict[str, Any], **more: Any) -> None:
    """Write `run.json`."""
    record = {
        "id": folder.name,
        "name": name,
        "experiment": folder.parent.name,
        "command": ["python", "train.py"],
        "parameters": parameters,
        "workdir": "/tmp",
        "environment": None,
        "wandb": {"project": "digits", "entity": "lab", "group": folder.parent.name, "tags": [], "mode": "offline"},
        **more,
    }
    write(folder / "run.json", record)


def write_attempt(folder: Path, number: int, outcome: str, **more: Any) -> None:
    """Write the record of an attempt; a finished one leaves `trained.json` too."""
    record = {
        "attempt": number,
        "host": "node1",
        "job": str(100 + number),
        "start": "2026-03-01T10:00:00+00:00",
        "end": None if outcome == "running" else "2026-03-01T10:12:05+00:00",
        "seconds": None if outcome == "running" else 725.0,
        "exit_code": {"finished": 0, "failed": 1}.get(outcome),
        "signal": None,
        "outcome": outcome,
        "segments": [],
        "message": None,
        **more,
    }
    write(folder / "attempts" / f"{number}.json", record)
    if outcome == "finished":
        write(folder / "trained.json", {"run": folder.name, "attempt": number})


def write_receipt(folder: Path, **more: Any) -> None:
    """Write a receipt for the segments that are there now."""
    names = [path.name for path in sorted(folder.glob("wandb/offline-run-*"))]
    record = {
        "run": folder.name,
        "url": f"https://wandb.example/lab/digits/runs/{folder.name}",
        "verified": "2026-03-01T11:30:00+00:00",
        "segments": [{"name": name, "size_bytes": 1, "sha256": "0" * 64, "history": 10} for name in names],
        **more,
    }
    write(RunFolder(folder).receipt_file, record)


def write(file: Path, value: Any) -> None:
    """Write a JSON file and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def write_log_of(
    folder: Path,
    rows: list[dict[str, Any]],
    stats: Sequence[dict[str, float]] = (),
    *,
    start: float = 1772359200.0,
    apart: float = 1.0,
) -> None:
    """Write a segment without wandb, as its records are: for experiments of many runs.

    `rows` are `apart` seconds apart, `stats` (by wandb's names) ten.
    """
    message = {name: parser(name).__self__ for name in ("Record", "Measured")}
    run = message["Record"](num=1)
    run.run.run_id = folder.name
    run.run.start_time.seconds = int(start)
    records = [run.SerializeToString()]
    for number, values in enumerate(stats):
        record = message["Measured"]()
        record.stats.timestamp.seconds = int(start) + 10 * number
        for name, value in values.items():
            record.stats.item.add(key=name, value_json=json.dumps(value))
        records.append(record.SerializeToString())
    for step, row in enumerate(rows):
        record = message["Measured"]()
        record.history.step.num = step
        for name, value in {**row, "_timestamp": start + step * apart, "_step": step}.items():
            record.history.item.add(nested_key=[name], value_json=json.dumps(value))
        records.append(record.SerializeToString())
    ended = message["Record"]()
    ended.exit.exit_code = 0
    records.append(ended.SerializeToString())
    name = f"offline-run-{time.strftime('%Y%m%d_%H%M%S', time.gmtime(start))}-{folder.name}"
    write_log(folder / "wandb" / name / f"run-{folder.name}.wandb", records)

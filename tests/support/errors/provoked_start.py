"""The errors of a start: what was typed, the config file, the folder of results, the code."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runferry.cli import main
from runferry.config.loading import check_config_file
from runferry.launch.code import VARIABLE, use_code
from runferry.runs import code_snapshot
from runferry.runs.folder import RunFolder
from runferry.runs.run_record import RunRecord
from runferry.sync.adopt import adopt_segments
from runferry.workflow.results_folder import check_results
from runferry.workflow.targets import check_targets
from support.errors.provoking import Row, World


def _command(_: World) -> None:
    commands: Any = SimpleNamespace(_choices_actions=[SimpleNamespace(dest="sync")])
    main._refuse("snyc", commands)


def _closed(world: World) -> None:
    # Whoever runs the tests may be root, who can write everywhere.
    world.patch.setattr("os.access", lambda *_: False)
    check_results(world.tmp / "results")


def _too_many_files(world: World) -> None:
    world.file("train.py")
    world.patch.setattr(code_snapshot, "MOST_PINNED", 0)
    code_snapshot.check_pinned(world.tmp)


def _no_snapshot(world: World) -> None:
    state = world.file("results/.code/k.json", "{}")
    run = RunRecord("r", code="pinned", workdir=str(world.tmp))
    world.patch.setenv(VARIABLE, json.dumps({str(world.tmp): str(state)}))
    use_code(run, RunFolder(world.tmp / "results" / "e" / "r"), world.tmp, print, unpack=True)


def _adopted_already(world: World) -> None:
    world.run()
    world.file("results/e/r/wandb/offline-run-1-r/run-r.wandb")
    adopt_segments([world.tmp / "results" / "e" / "r"], world.tmp / "results", "adopted")


ROWS = [
    Row("cli/main.py", "found the command", _command),
    Row("config/loading.py", "found no such file in", lambda _: check_config_file(Path("config/config.yaml"), {})),
    Row("config/loading.py", "in it, expected a mapping", lambda world: check_config_file(world.file("c.yaml"), {})),
    Row("workflow/results_folder.py", "found a file", lambda world: check_results(world.file("results"))),
    Row("workflow/results_folder.py", "cannot write to", _closed),
    Row("workflow/targets.py", "found no such target", lambda _: check_targets([], ["nowhere"])),
    Row("runs/code_snapshot.py", "too many files", _too_many_files),
    Row("launch/code.py", "found no snapshot", _no_snapshot),
    Row("sync/adopt.py", "found {} in it", _adopted_already),
]

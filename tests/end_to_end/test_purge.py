"""What lies unsynced on scratch is named before the site purges it, whenever the workflow starts."""

from __future__ import annotations

import json
import os

import pytest


@pytest.mark.parametrize(
    ("days", "said"),
    [(50, "in 10 days; run: runferry sync"), (70, "at any time now; run: runferry sync"), (10, None)],
)
def test_a_start_says_when_what_is_not_synced_will_be_purged(project, days, said):
    project.configure({"a": {"command": ["true"]}})
    project.environment |= {"SCRATCH": str(project.folder), "CC_CLUSTER": "narval"}
    run = "results/adopted/run1"
    log = f"{run}/wandb/offline-run-20260101_000000-run1/run-run1.wandb"
    project.write(f"{run}/run.json", json.dumps({"id": "run1", "adopted": True, "wandb": {"project": "tests"}}))
    project.write(log, ":W&B")
    # When a file was changed cannot be set: it is the clock that goes on.
    clock = f"import time\nnow = time.time\ntime.time = lambda: now() + {(days - 0.5) * 86400}\n"
    python_path = [str(project.write("clock/sitecustomize.py", clock).parent), os.environ.get("PYTHONPATH", "")]
    project.environment["PYTHONPATH"] = os.pathsep.join(filter(None, python_path))
    done = project.snakemake("--until", "train")
    assert done.returncode == 0, done.stderr
    line = f"runferry: scratch is purged after 60 days: {log} {said}"
    assert (line in done.stderr) == (said is not None)

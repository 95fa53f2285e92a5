"""After a whole pipeline the key is in no file, and what Snakemake runs elsewhere never had it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from runferry_standin import running

pytestmark = pytest.mark.slow

KEY = "c0ffee" * 6 + "beef"
# What a script does that means no harm.
TRAINING = """
import os, sys, wandb
print(dict(os.environ))
run = wandb.init(config={"n": 1})
for step in range(10):
    run.log({"loss": 1 / (step + 1)})
run.finish()
"""
# A controller on a cluster, whose jobs inherit its variables as `sbatch --export=ALL` gives them.
SUBMITTING = """
from runferry.trackers import api_keys
api_keys.put_away()

rule all:
    input: "synced"
    localrule: True

rule train:
    output: "results/a/run1/trained.json"
    log: "train.log"
    shell: "env >inherited; ls -l /proc/self/fd >>inherited; runferry launch results/a/run1 2>{log}"

rule sync:
    input: rules.train.output
    output: touch("synced")
    localrule: True
    log: "sync.log"
    shell: "runferry sync --log {log} results/a/run1"
"""


def _files_with(text: str, folder: Path) -> list[Path]:
    wanted = text.encode()
    return [file for file in folder.rglob("*") if file.is_file() and wanted in file.read_bytes()]


@pytest.fixture
def server():
    with running(key=KEY) as standin:
        yield standin


@pytest.fixture
def connected(project, server):
    project.environment |= server.environment | {"WANDB_ERROR_REPORTING": "false"}
    project.environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    project.write("train.py", TRAINING)
    return project


def test_a_pipeline_leaves_the_key_in_no_file(connected):
    command = {"command": [sys.executable, "train.py"]}
    connected.configure({"a": command})
    done = connected.snakemake()
    assert done.returncode == 0, done.stderr
    assert list(connected.folder.glob("results/a/*/receipt.json"))
    assert list(connected.folder.glob(".snakemake/metadata/*"))
    assert KEY not in done.stdout + done.stderr
    # The test's own search finds what is there.
    assert _files_with("loss", connected.folder / "results")
    assert _files_with(KEY, connected.folder) == []


def test_what_is_submitted_has_no_key_and_sync_has(connected, server):
    run = {
        "id": "run1",
        "name": "run1",
        "command": [sys.executable, "train.py"],
        "workdir": str(connected.folder),
        "environment": None,
        "wandb": {"project": "tests", "entity": None, "group": "a", "tags": [], "mode": "offline"},
    }
    connected.write("results/a/run1/run.json", json.dumps(run))
    snakefile = connected.write("Snakefile", SUBMITTING)
    done = connected.run(*connected.snakemake_command(snakefile, profile=False), "--cores", "1")
    assert done.returncode == 0, done.stderr + (connected.folder / "sync.log").read_text()
    inherited = (connected.folder / "inherited").read_text()
    assert "RUNFERRY_KEY_HOLDER=" in inherited
    assert "memfd" not in inherited
    assert server.run("demo", "tests", "run1")["history_line_count"] == 10
    assert _files_with(KEY, connected.folder) == []

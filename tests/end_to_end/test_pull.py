"""`sync.where: remote`: the workflow trains without a key, another machine syncs, and the site knows."""

from __future__ import annotations

import json
import os
import sys

import pytest

from support.cut_line import make_line
from support.pulling import pull_at_home

pytestmark = pytest.mark.slow

LOGGING = """
import sys, wandb
run = wandb.init()
for step in range(10):
    run.log({"loss": 1 / (step + 1)})
run.finish()
"""


def test_a_site_trains_without_a_key_and_knows_of_the_receipts_that_are_brought(project, server, tmp_path) -> None:
    project.write("train.py", LOGGING)
    sweep = {"method": "grid", "parameters": {"n": {"values": [1, 2]}}}
    project.configure(
        {"a": {"sweep": sweep | {"command": [sys.executable, "train.py"]}}},
        wandb={"project": "tests", "base_url": server.url},
        sync={"where": "remote", "watch": True},
    )

    planned = project.runferry("plan", "--profile", "local")
    assert planned.returncode == 0, planned.stderr
    assert "found no key" not in planned.stdout, planned.stdout
    trained = project.snakemake()

    assert trained.returncode == 0, trained.stderr
    results = project.folder / "results"
    assert "2 runs have no receipt; on a machine with internet, run: runferry pull " in trained.stderr
    assert f":{results}" in trained.stderr
    assert "Nothing to be done" in project.snakemake().stderr
    assert server.requests()["total"] == 0

    laptop = tmp_path / "laptop"
    laptop.mkdir()
    login = {name: os.environ.get(name, "") for name in ("PATH", "PYTHONPATH")} | {"HOME": str(tmp_path / "home")}
    ssh = make_line(tmp_path / "line", login)
    pulled = pull_at_home(server, ssh, results, laptop)

    assert pulled.returncode == 0, pulled.stderr
    for file in results.glob("a/*/run.json"):
        held = server.run("demo", "tests", file.parent.name)
        assert [row["loss"] for row in held["history"]] == [1 / n for n in range(1, 11)]
        assert json.loads((file.parent / "receipt.json").read_text())["server"]["history_lines"] == 10
    assert (laptop / "site" / "results" / "a").is_dir()
    # What comes late is no input of what was done.
    again = project.snakemake()
    assert "Nothing to be done" in again.stderr
    assert "no receipt" not in again.stderr
    assert json.loads(project.runferry("status", "--json").stdout)["states"]["done"] == 2

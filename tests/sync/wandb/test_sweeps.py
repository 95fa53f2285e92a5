"""The sweep on the server: made once, with the runs that were synced, as the real `wandb sweep` would make it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import yaml

from runferry.cli.main import main
from runferry.runs.folder import RunFolder
from runferry.system.files import write_json
from support.written_runs import PROJECT, write_run

pytestmark = pytest.mark.usefixtures("connected")

SWEEP = {"program": "t.py", "method": "grid", "name": "lr", "parameters": {"lr": {"values": [0.1, 0.2]}}}


def _graphql(server) -> dict[str, int]:
    return {name: count for name, count in server.requests()["counts"].items() if name.startswith("graphql:Upsert")}


def test_the_sweep_is_made_once_and_the_runs_are_its(server, wandb_python, tmp_path):
    experiment = tmp_path / "results" / "e"
    python = wandb_python("0.31.0")
    for name in ("first000", "second00"):
        write_run(python, RunFolder(experiment / name), 2, rich=False)
    write_json(experiment / "sweep.json", SWEEP)
    assert main(["sync", "--sweeps", str(experiment / "first000")]) == 0
    (made,) = json.loads((experiment / "sweep-on-server.json").read_text()).values()
    assert server.run("demo", PROJECT, "first000")["sweep"] == made["name"]
    server.clear_requests()
    assert main(["sync", "--sweeps", str(experiment)]) == 0
    (again,) = json.loads((experiment / "sweep-on-server.json").read_text()).values()
    assert again["id"] == made["id"]
    assert {server.run("demo", PROJECT, name)["sweep"] for name in ("first000", "second00")} == {made["name"]}
    server.clear_requests()
    assert main(["sync", "--sweeps", str(experiment)]) == 0
    assert "graphql:UpsertSweep" not in server.requests()["counts"], "there is nothing new to say"


def test_a_server_that_refuses_the_sweep_keeps_no_run_from_its_receipt(server, wandb_python, tmp_path, capsys):
    experiment = tmp_path / "results" / "e"
    folder = RunFolder(experiment / "first000")
    write_run(wandb_python("0.31.0"), folder, 2, rich=False)
    write_json(experiment / "sweep.json", SWEEP)
    server.faults({"match": "graphql:UpsertSweep", "status": 400})
    assert main(["sync", "--sweeps", str(experiment)]) == 0
    assert "its sweep is not on the server" in capsys.readouterr().err
    assert not (experiment / "sweep-on-server.json").exists()
    assert folder.receipt_file.exists()
    server.faults()
    assert main(["sync", "--sweeps", str(experiment)]) == 0
    assert server.run("demo", PROJECT, "first000")["sweep"]


def test_the_real_wandb_sweep_makes_one_with_prior_runs_here(server, wandb_python, tmp_path):
    folder = RunFolder(tmp_path / "results" / "e" / "first000")
    python = wandb_python("0.31.0")
    write_run(python, folder, 2, rich=False)
    assert main(["sync", str(folder.path)]) == 0
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    command = [python, "-m", "wandb", "sweep", "-p", PROJECT, "-e", "demo", "-R", "first000", "sweep.yaml"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | server.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert server.run("demo", PROJECT, "first000")["sweep"] in done.stderr

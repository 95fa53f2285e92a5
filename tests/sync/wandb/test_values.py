"""Values that wandb's client or the server change on the way: what wandb would send online is what is expected."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry_standin import running
from support import written_runs
from support.sync_processes import QUICK
from support.wandb_clients import VERSIONS
from support.written_runs import receipt, write_run

VALUES = """
import wandb
run = wandb.init(config={"lr": 0.1, "seed": 2**63 + 5, "uuid": 2**127})
deep = 1
for _ in range(60):
    deep = {"k": deep}
run.config["deep"] = deep
run.log({"loss": 1.0, "big": 2**53 + 1, "m": {"a": 1, "b": {"c": 2}}})
run.log({"loss": float("nan")})
run.summary["best"] = {"loss": 1, "epoch": 1}
run.summary["best"]["epoch"] = 3
run.summary["other"] = {"a": {"b": 1}}
run.summary["other"]["a"]["c"] = 2
run.summary["m"]["b"]["c"] = 5
run.summary["count"] = 2**53 + 1
run.summary["hash"] = 2**64
run.summary["worst"] = float("inf")
run.summary["five"] = {"a": {"b": {"c": {"d": {"e": 1}}}}}
run.finish()
"""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "behaviour",
    [{}, {"integers": "double", "summary_nan": "null", "summary_dots": 4}, {"summary_nan": "text", "lag": 2}],
    ids=["kept", "as_doubles", "lagging"],
)
def test_values_arrive_as_wandb_sends_them(version, behaviour, wandb_python, tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "results" / "experiment" / "values")
    folder.path.mkdir(parents=True)
    monkeypatch.setattr(written_runs, "SCRIPT", VALUES)
    with running(lag=0) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path))
        server.behave(**behaviour)
        write_run(wandb_python(version), folder)
        limits = QUICK if not behaviour.get("lag") else replace(QUICK, patience=10)
        assert sync([folder], limits)[0].problem is None
        assert receipt(folder)
        held = server.run("demo", written_runs.PROJECT, "values")
        # What wandb-core sends, online too: not what one would read from the script.
        assert held["summary"]["best"] == {"epoch": 3}
        assert held["summary"]["other"] == {"a": {"c": 2}}
        assert held["summary"]["m"] == {"a": 1, "b": {"c": 5}}
        assert held["config"]["seed"] == float(2**63 + 5)
        folder.receipt_file.unlink()
        server.clear_requests()
        assert sync([folder], limits)[0].problem is None
        assert "file_stream" not in json.dumps(server.requests()["counts"])

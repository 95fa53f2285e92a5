"""Frameworks as they are, each with its own way to call wandb: what its script logged is what the server holds."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

from runferry_standin import running
from support.launching import lines, make_run, run_to_end
from support.sync_processes import sync_process

SCRIPTS = Path(__file__).with_name("frameworks")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def launched(frameworks, tmp_path):
    """Give a function that launches a script of `frameworks/` in a run of its own."""

    def launch(script: str, *arguments: str, starter: tuple[str, ...] = (), tasks: int = 1):
        python = str(frameworks / "bin" / "python")
        run = make_run(tmp_path / "results" / "e" / "run", [python, *starter, str(SCRIPTS / script), *arguments])
        workdir = tmp_path / "work"
        workdir.mkdir()
        record = json.loads(run.run_file.read_text()) | {"workdir": str(workdir), "tasks": tasks}
        run.run_file.write_text(json.dumps(record))
        variables = {"OMP_NUM_THREADS": "1", "WANDB_ERROR_REPORTING": "false", "HOME": str(tmp_path)}
        variables["PATH"] = os.pathsep.join([str(frameworks / "bin"), os.environ["PATH"]])
        return (run, *run_to_end(run, variables))

    return launch


@pytest.mark.parametrize(
    ("script", "arguments", "how", "runs"),
    [
        ("lightning_tasks.py", (), {"tasks": 2}, 1),
        ("lightning_hydra.py", ("+rate=0.1", "hydra.job.chdir=true"), {}, 1),
        ("huggingface_trainer.py", (), {}, 1),
        ("accelerate_two.py", (), {}, 1),
        ("torchrun_two.py", (), {"starter": TORCHRUN}, 2),
        ("train_and_evaluate.py", (), {}, 2),
        ("optuna_trials.py", (), {}, 3),
    ],
    ids=[
        "lightning in tasks",
        "lightning and hydra",
        "transformers",
        "accelerate",
        "torchrun",
        "stable-baselines",
        "optuna",
    ],
)
def test_what_a_frameworks_script_logged_is_what_the_server_holds(launched, script, arguments, how, runs):
    run, status, said = launched(script, *arguments, **how)
    assert status == 0, said + "\n".join(lines(run)[-30:])
    truth: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in (run.path / "truth.jsonl").read_text().splitlines():
        wrote = json.loads(line)
        truth[wrote["run"]][wrote["metric"]].append(wrote["value"])
    assert len(truth) == runs
    with running() as server:
        sync = sync_process(run.path, **server.environment)
        _, said = sync.communicate(timeout=120)
        assert sync.returncode == 0, said
        held = {one: server.run("demo", "digits", one) for one in server.runs("demo", "digits")}
    assert held.keys() == truth.keys()
    for one, metrics in truth.items():
        assert held[one]["state"] == "finished"
        for metric, values in metrics.items():
            found = [row[metric] for row in held[one]["history"] if metric in row]
            assert found == pytest.approx(values, rel=1e-6), metric
    receipt = json.loads(run.receipt_file.read_text())
    assert len(receipt.get("wandb_runs", [0])) == runs


def test_an_agent_of_wandbs_with_a_function_is_told_that_it_cannot_be(launched):
    run, status, said = launched("agent_function.py")
    assert status == 1
    wanted = (
        "runferry: wandb.sweep asks W&B's server, which an offline job does not; give the sweep to runferry instead"
    )
    assert wanted in lines(run)
    assert "give the sweep's definition to runferry (experiments.<name>.sweep) and let the command train once" in said

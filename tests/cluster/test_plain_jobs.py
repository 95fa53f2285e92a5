"""Jobs that people submit themselves, on a real Slurm: sbatch with a script of their own, and submitit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runferry import api
from support.paths import ROOT
from support.slurm.namespaces import wait_for
from support.slurm.user import QUICK

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples" / "library"

# Logs a row and waits to be stopped, the first time; then it goes on.
GOES_ON = """
import os, signal, time, wandb

run = wandb.init()
first = run.step
for step in range(first, 10):
    run.log({"step": step})
if first == 0:
    stopped = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    open("ready", "w").close()
    while not stopped:
        time.sleep(0.05)
else:
    run.log({"step": 10})
run.finish()
"""


@pytest.fixture
def folder(tmp_path, cluster, server, monkeypatch) -> Path:
    """A person's own folder with the examples, in a shell in which the environment with runferry is activated."""
    shutil.copytree(EXAMPLES, tmp_path / "library")
    monkeypatch.chdir(tmp_path / "library")
    for name in [name for name in os.environ if name.startswith("WANDB_") or name not in cluster.environment]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    for name, value in {**server.environment, "WANDB_ERROR_REPORTING": "false"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "library"


def _assert_synced(project: str, server, rows: int) -> None:
    for synced in api.sync("results"):
        assert synced.receipt, synced.problem
        assert synced.receipt.history_lines == rows
        assert server.run("demo", project, synced.run.id)["state"] == "finished"


def test_a_script_for_sbatch_trains_where_there_is_no_route_and_runferry_sync_verifies_it(folder, cluster, server):
    job = cluster.submit("--account=def-test_cpu", "job.sh", "--learning_rate=0.2", cwd=folder)
    assert cluster.wait_for_job(job) == "COMPLETED"
    (run,) = api.find_runs()
    assert run.path.name == "run-learning-rate-0.2"
    (attempt,) = run.attempts
    assert (attempt["job"], attempt["host"] in cluster.nodes) == (job, True)
    _assert_synced("sbatch-example", server, 20)


def test_a_script_that_was_stopped_and_is_submitted_again_goes_on_in_the_same_run(folder, cluster, server):
    (folder / "train.py").write_text(GOES_ON)
    job = cluster.submit("--account=def-test_cpu", "job.sh", cwd=folder)
    wait_for((folder / "ready").exists, "the training")
    cluster.run("scancel", "--batch", "--signal=TERM", job)
    assert cluster.wait_for_job(job) == "FAILED"
    assert f"ExitCode={api.STOPPED}:0" in cluster.run("scontrol", "show", "job", job)
    again = cluster.submit("--account=def-test_cpu", "job.sh", cwd=folder)
    assert cluster.wait_for_job(again) == "COMPLETED"
    (run,) = api.find_runs()
    assert [attempt["outcome"] for attempt in run.attempts] == ["stopped", "finished"]
    assert [row["step"] for row in run.history()] == list(range(11))
    _assert_synced("sbatch-example", server, 11)


def test_submitit_submits_to_slurm_and_the_login_node_syncs(folder, cluster, server):
    done = subprocess.run(
        [sys.executable, "submit_with_submitit.py", "--account", "def-test_cpu"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs = api.find_runs()
    assert len(runs) == 3
    assert all(run.attempts[0]["host"] in cluster.nodes for run in runs)
    assert len({run.attempts[0]["job"] for run in runs}) == 3
    _assert_synced("library-example", server, 20)


def test_a_rule_with_the_training_wrapper_is_a_job_of_a_workflow_of_ones_own(folder, cluster, server):
    shutil.copytree(ROOT / "workflow" / "wrappers" / "train" / "test", folder / "own")
    (folder / "own" / "master").symlink_to(ROOT)
    options = ["--executor", "slurm", "--jobs", "2", "--default-resources", "slurm_account=def-test_cpu", *QUICK]
    prefix = ["--wrapper-prefix", f"file://{folder}/own/", "--directory", folder / "own"]
    command = ["-m", "snakemake", "--snakefile", folder / "own" / "Snakefile", *options, *prefix]
    done = subprocess.run(
        [sys.executable, *command, "--", "results/line/0.5/trained.json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = api.find_runs("own/results")
    assert run.attempts[0]["host"] in cluster.nodes
    (synced,) = api.sync(run)
    assert synced.receipt, synced.problem
    assert server.run("demo", "wrapper-test", run.id)["state"] == "finished"

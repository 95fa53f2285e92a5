"""Three repositories as users have them: `runferry init`, then the two commands that it prints, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import virtualenv

from runferry_standin import running

pytestmark = pytest.mark.slow

# setuptools is in virtualenv: what builds a project's wheel is on this machine.
SEEDS = Path(virtualenv.__file__).parent / "seed" / "wheels" / "embed"

# Each writes what it logs to a file of its own, too: that is what the server has to hold.
TRUTH = """
def note(name, value):
    import pathlib
    with open(pathlib.Path(__file__).resolve().parents[{up}] / "truth.txt", "a") as stream:
        stream.write(f"{{name}} {{value!r}}\\n")
"""
WITH_ARGPARSE = """
import argparse

import wandb
{truth}
parser = argparse.ArgumentParser()
parser.add_argument("--{rate}", type=float, default=1e-3)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--data", default="data.txt")
args = parser.parse_args()
open(args.data).read()
run = wandb.init(config=vars(args))
for epoch in range(args.epochs):
    loss = args.{attribute} / (epoch + 1)
    note("val_loss", loss)
    run.log({{"val_loss": loss}})
run.finish()
"""
IN_A_PACKAGE = """
import wandb

from lab.model import accuracy_of
{truth}

def main():
    with wandb.init(project="lab-runs", config={{"width": 8, "dropout": 0.1}}) as run:
        for step in range(4):
            accuracy = accuracy_of(run.config.width, step)
            note("accuracy", accuracy)
            run.log({{"accuracy": accuracy}})


if __name__ == "__main__":
    main()
"""
PYPROJECT = """
[project]
name = "lab"
version = "0.1"
dependencies = ["wandb"]

[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
"""
JOB = """#!/bin/bash
#SBATCH --account=def-somebody
#SBATCH --gres=gpu:a100:1
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=0:20:00
#SBATCH --mail-type=ALL
module load StdEnv/2023 python/3.11
source ~/miniconda3/bin/activate lab
export WANDB_MODE=offline WANDB_API_KEY=secret-of-the-script
export OMP_NUM_THREADS=1
RATE=0.5
srun python -u code/fit.py --lr $RATE \\
    --epochs 2 > log.txt 2>&1
wandb sync wandb/offline-run-*
"""
CONDA = """
name: lab
channels: [pytorch, conda-forge]
dependencies:
  - python=3.11
  - pytorch-cuda=12.1
  - pip
  - pip:
    - wandb
"""


def _script_and_requirements(folder: Path) -> None:
    script = WITH_ARGPARSE.format(truth=TRUTH.format(up=0), rate="learning-rate", attribute="learning_rate")
    _write(folder, {"train.py": script, "requirements.txt": "wandb\n", "data.txt": "", ".gitignore": "results\n*.pt"})


def _package_with_src(folder: Path) -> None:
    # Installed, it is no longer where its truth is wanted.
    truth = TRUTH.format(up=0).replace("pathlib.Path(__file__).resolve().parents[0]", "pathlib.Path()")
    model = "def accuracy_of(width, step):\n    return step / width\n"
    _write(folder, {"pyproject.toml": PYPROJECT, "src/lab/__init__.py": "", "src/lab/model.py": model})
    _write(folder, {"src/lab/fit.py": IN_A_PACKAGE.format(truth=truth)})


def _job_script_and_conda(folder: Path) -> None:
    script = WITH_ARGPARSE.format(truth=TRUTH.format(up=1), rate="lr", attribute="lr")
    _write(folder, {"code/fit.py": script, "job.sh": JOB, "environment.yml": CONDA, "data.txt": ""})


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


REPOSITORIES = {
    # What makes it -> the words after `runferry init`, W&B's project, the runs, rows each, the best run's line.
    _script_and_requirements: ([], "script_and_requirements", 2, 3, "val_loss 3.333e-05"),
    _package_with_src: ([], "lab-runs", 2, 4, "accuracy 0.375"),
    _job_script_and_conda: (["--from-sbatch", "job.sh"], "job_script_and_conda", 2, 2, "val_loss 0.025"),
}


@pytest.mark.parametrize("make", REPOSITORIES, ids=lambda make: make.__name__.strip("_"))
def test_three_commands_lead_to_verified_runs(make, tmp_path, project, wheels):
    words, name, count, rows, best = REPOSITORIES[make]
    folder = project.folder = tmp_path / make.__name__.strip("_")
    folder.mkdir()
    make(folder)
    before = {file: file.read_text() for file in folder.rglob("*") if file.is_file()}
    with running() as server:
        project.environment |= server.environment | {
            "WANDB_ERROR_REPORTING": "false",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{wheels} {SEEDS}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        started = project.runferry("init", *words)
        assert started.returncode == 0, started.stderr
        told = started.stdout.partition("next:\n")[2].splitlines()
        assert len(told) == 2
        plan, start = (_typed(project, line) for line in told)
        held = [server.run("demo", name, run) for run in server.runs("demo", name)]
    assert plan.returncode == 0, plan.stderr
    assert f"{count} jobs of 1 run" in plan.stdout
    assert start.returncode == 0, start.stderr
    receipts = list((folder / "results").glob("*/*/receipt.json"))
    assert len(receipts) == len(held) == count
    assert [json.loads(file.read_text())["disk"]["history_lines"] for file in receipts] == [rows] * count
    metric = best.partition(" ")[0]
    logged = sorted(float(row[metric]) for run in held for row in run["history"])
    assert logged == sorted(float(line.split()[1]) for line in (folder / "truth.txt").read_text().splitlines())
    for file, text in before.items():
        # Lines may be added to .gitignore, and to nothing else.
        assert file.read_text().startswith(text) if file.name == ".gitignore" else file.read_text() == text
    assert not [file for file in folder.rglob("config/*") if "secret-of-the-script" in file.read_text()]


def _typed(project, line: str) -> subprocess.CompletedProcess[str]:
    return project.run("bash", "-c", line.strip())

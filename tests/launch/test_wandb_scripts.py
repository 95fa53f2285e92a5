"""Scripts of real wandb clients, as users write them."""

from __future__ import annotations

import subprocess
import sys

from runferry.trackers.wandb.log.segment import read_segment
from support.attempt_files import attempts_of
from support.launching import (
    lines,
    make_run,
    run_to_end,
)
from support.wandb_commands import values


def test_media_and_artifacts_are_staged_in_the_runs_folder(tmp_path, python):
    code = """
import os, wandb
with open("weights.txt", "w") as file:
    file.write("weights")
run = wandb.init()
artifact = wandb.Artifact("model", type="model")
artifact.add_file("weights.txt")
run.log_artifact(artifact)
run.finish()
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder)[0] == 0
    staged = [file for file in folder.data_folder.glob("**/*") if file.is_file()]
    assert [file for file in staged if file.read_bytes() == b"weights"]


# The script of the page, as it stands there.
PAGE = """
import wandb

wandb.init(project="wandb-pytorch-test", settings=wandb.Settings(start_method="fork"))

for my_metric in range(10):
    wandb.log({'my_metric': my_metric})
"""


def test_the_script_of_the_page_runs_unchanged_with_the_wheelhouses_wandb(tmp_path, wandb_python):
    (tmp_path / "wandb-test.py").write_text(PAGE)
    folder = make_run(tmp_path / "run", [str(wandb_python("0.27.2")), "wandb-test.py"])
    assert run_to_end(folder)[0] == 0
    (segment,) = folder.segments()
    assert values(segment, "my_metric") == list(range(10))
    assert read_segment(segment).project == "wandb-pytorch-test"


def test_the_script_of_the_page_says_in_one_line_what_a_new_wandb_wants(tmp_path, wandb_python):
    (tmp_path / "wandb-test.py").write_text(PAGE)
    folder = make_run(tmp_path / "run", [str(wandb_python("0.31.0")), "wandb-test.py"])
    code, errors = run_to_end(folder)
    assert code == 1
    assert errors.splitlines()[0] == (
        "runferry: run k3j9 failed with exit code 1: wandb 0.31.0 no longer has the setting start_method (removed in "
        "0.29): remove settings=wandb.Settings(start_method=...) from the script, or pin wandb<0.29 in the "
        f"requirements. Log: {folder.log_file}"
    )
    assert folder.segments() == []


def test_a_wandb_core_that_does_not_start_is_a_warning_and_the_command_runs(tmp_path):
    # A prefix of its own, in which wandb is broken.
    binary = tmp_path / "prefix" / "lib" / "python3.11" / "site-packages" / "wandb" / "bin" / "wandb-core"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\nexit 5\n")
    binary.chmod(0o755)
    program = tmp_path / "prefix" / "bin" / "train"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "service=$WANDB_SERVICE"\n')
    program.chmod(0o755)
    folder = make_run(tmp_path / "run", [str(program)])
    assert run_to_end(folder)[0] == 0
    assert "service=" in lines(folder)
    (warning,) = [line for line in lines(folder) if "wandb-core" in line]
    assert warning.startswith(
        f"runferry: {binary}: found it ended with exit code 5, expected it to wait for connections; if the command"
    )


def test_without_wandb_in_the_environment_there_is_no_warning(tmp_path):
    code = "import os; print('service', os.environ.get('WANDB_SERVICE'))"
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    folder = make_run(tmp_path / "run", [str(bare / "bin" / "python"), "-c", code])
    assert run_to_end(folder, {"PATH": f"{bare}/bin:/usr/bin:/bin"})[0] == 0
    assert "service None" in lines(folder)
    assert not [line for line in lines(folder) if "wandb-core" in line]
    assert attempts_of(folder)[0]["wandb"] is None

"""Progress bars while Snakemake works: a logger plugin that others keep, with this workflow's profile and packs."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

FAILING = [
    sys.executable,
    "-c",
    "import sys; print('epoch 1'); sys.exit('ValueError: no data' if 'n=1' in sys.argv[1] else 0)",
]


def _on_a_terminal(project, *arguments: str) -> tuple[int, str]:
    """Call Snakemake as a person would; return its exit code and what the terminal got."""
    master, slave = pty.openpty()
    environment = {**os.environ, **project.environment, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"}
    command = [*project.snakemake_command(), *arguments]
    process = subprocess.Popen(command, cwd=project.folder, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            # The other side has closed it.
            break
        if not more:
            break
        seen += more
    os.close(master)
    return process.wait(60), seen.decode(errors="replace")


def test_a_dry_run_lists_the_jobs_and_the_plan(project, grid):
    project.configure({"a": {"sweep": grid(3)}})
    done = project.snakemake("train_all", "-n", "--logger", "rich")
    assert done.returncode == 0, done.stderr
    assert "Job stats" in done.stderr
    assert ["train", "3"] in [line.split() for line in done.stderr.splitlines()]
    assert "Plan for this machine" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("packing", [False, {"one_after_another": 2}], ids=["alone", "in packs"])
def test_bars_move_and_a_failed_run_is_shown_with_the_end_of_its_own_log(project, grid, packing):
    project.configure({"a": {"sweep": grid(2, [*FAILING, "${args}"]), "packing": packing}})
    code, seen = _on_a_terminal(project, "train_all", "--logger", "rich")
    assert code == 1
    assert "Workflow Progress" in seen
    assert "Total Progress" in seen
    assert "Traceback" not in seen
    assert "ValueError: no data" in seen
    [failed] = [
        path.parent
        for path in project.folder.glob("results/a/*/run.json")
        if not (path.parent / "trained.json").exists()
    ]
    assert f"{failed.name}/train.log" in seen


@pytest.mark.slow
def test_without_the_plugin_snakemakes_own_output_has_the_end_of_a_failed_runs_log_too(project, grid):
    project.configure({"a": {"sweep": grid(2, [*FAILING, "${args}"])}})
    failed = project.snakemake("train_all")
    assert failed.returncode == 1
    [folder] = [
        path.parent
        for path in project.folder.glob("results/a/*/run.json")
        if not (path.parent / "trained.json").exists()
    ]
    assert f"run {folder.name} failed with exit code 1: ValueError: no data. Log: " in failed.stderr
    assert "\n    | epoch 1\n    | ValueError: no data\n" in failed.stderr
    assert "Traceback" not in failed.stderr

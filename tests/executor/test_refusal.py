"""A Slurm plugin that the executor cannot be built upon: one line at the start, from the real Snakemake."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from snakemake_executor_plugin_runferry import compatibility

# As the real one, but that a method has another name.
CHANGED = """
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

common_settings = CommonSettings(non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False)


class ExecutorSettings(ExecutorSettingsBase):
    pass


class Executor(RemoteExecutor):
    def run_job(self, job):
        raise AssertionError("submitted all the same")

    def stop_jobs(self, active_jobs):
        pass

    cancel_jobs = None
    check_active_jobs = None
"""


@pytest.fixture
def changed(tmp_path):
    package = tmp_path / "changed" / "snakemake_executor_plugin_slurm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(CHANGED)
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'done'\n    shell: 'touch {output}'\n")
    return tmp_path


def _snakemake(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "changed")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_changed_plugin_is_refused_in_one_line_and_nothing_is_submitted(changed):
    options = ["--executor", "runferry", "--jobs", "1", "--runferry-init-seconds-before-status-checks", "40"]
    refused = _snakemake(changed, *options)
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("runferry: ")]
    assert "found no" in line
    assert "cancel_jobs(active_jobs)" in line
    assert "run: pip install 'snakemake-executor-plugin-slurm" in line
    assert "Traceback" not in refused.stderr
    assert not (changed / "done").exists()


def test_a_changed_plugin_keeps_nobody_from_running_locally(changed):
    done = _snakemake(changed, "--cores", "1")
    assert done.returncode == 0, done.stderr
    assert (changed / "done").exists()


def test_without_the_plugin_the_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, compatibility.PLUGIN, None)
    line = compatibility.why_not() or ""
    assert "found no snakemake-executor-plugin-slurm" in line
    assert line.endswith("run: pip install 'snakemake-executor-plugin-slurm>=2.5.3'")

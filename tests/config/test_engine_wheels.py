"""What the engines need has wheels for every Python that runferry takes; skipped where no package index is reached."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_optuna_and_all_that_it_needs_have_wheels(tmp_path, version):
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
    command += ["--report", str(report), "--target", str(tmp_path / "none"), "--only-binary=:all:", "--retries", "0"]
    command += ["--python-version", version, "optuna"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode and "No matching distribution found for optuna" in done.stderr:
        pytest.skip("no package index is reached")
    assert done.returncode == 0, done.stderr
    chosen = json.loads(report.read_text())["install"]
    assert {"optuna", "numpy"} <= {one["metadata"]["name"].lower() for one in chosen}
    assert all(one["download_info"]["url"].endswith(".whl") for one in chosen)

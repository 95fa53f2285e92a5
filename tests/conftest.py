"""What tests of several folders share."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / ".venv" / "wheels"
"""Downloaded once by `make setup`."""


@pytest.fixture(scope="session")
def wandb_python() -> Callable[[str], Path]:
    """Give the Python of an environment that has wandb of a version, as a training environment has it.

    The environments stay in `.venv/wandb-<version>`; the controller's own version needs none.
    """
    return cache(_python_with_wandb)


@pytest.fixture(scope="session")
def wheels() -> Path:
    """Give the folder of wheels from which tests build environments: they leave the machine for nothing."""
    if not (WHEELS / ".ready").exists():
        pytest.fail(f"no wheels in {WHEELS}: type make setup")
    return WHEELS


def _python_with_wandb(version: str) -> Path:
    if version == installed_version("wandb"):
        return Path(sys.executable)
    folder = ROOT / ".venv" / f"wandb-{version}"
    python = folder / "bin" / "python"
    complete = folder / "complete"
    folder.parent.mkdir(exist_ok=True)
    # Several test processes may want the same one at the same time.
    with FileLock(f"{folder}.lock"):
        if not complete.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            # From the wheels that `make setup` downloaded; without it, from the package index.
            source = ["--no-index", f"--find-links={WHEELS}"] if (WHEELS / ".ready").exists() else []
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *source, f"wandb=={version}"], check=True)
            complete.touch()
    return python


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail CI when a test was skipped: what it needs is CI's to install."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        reporter.write_line("CI: a test was skipped (see above), which is a failure here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

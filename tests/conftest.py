"""What tests of several folders share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / ".venv" / "wheels"
"""Downloaded once by `make setup`."""
FRAMEWORKS = ROOT / ".venv" / "frameworks"
"""Installed once by `make setup`."""


@pytest.fixture(scope="session")
def wandb_python() -> Callable[[str], Path]:
    """Give the Python of an environment that has wandb of a version, as a training environment has it.

    The environments stay in `.venv/wandb-<version>`; the controller's own version needs none.
    """
    return cache(_python_with_wandb)


@pytest.fixture(scope="session")
def comet_python() -> Callable[[str], Path]:
    """Give the Python of an environment with comet_ml and nothing else, of a version or the "newest".

    The environments stay in `.venv/comet_ml-<version>`; the program `comet` is beside the Python.
    """
    return cache(lambda version: _python_with("comet_ml", version))


@pytest.fixture(scope="session")
def wheels() -> Path:
    """Give the folder of wheels from which tests build environments: they leave the machine for nothing."""
    if not (WHEELS / ".ready").exists():
        pytest.fail(f"no wheels in {WHEELS}: type make setup")
    return WHEELS


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Give the system's Chromium, without a window, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        # Without its own sandbox it also starts as root, as in a container; the pages are our own.
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def frameworks() -> Path:
    """Give the environment with PyTorch, Lightning and Transformers that the example projects train in."""
    if not (FRAMEWORKS / ".ready").exists():
        pytest.fail(f"no PyTorch in {FRAMEWORKS}: type make setup")
    return FRAMEWORKS


@pytest.fixture(scope="session")
def sweeps_cache(wheels: Path) -> Path:
    """Give the cache in which W&B's `sweeps` package is installed, built once from the wheels of `make setup`."""
    from runferry.workflow import sweeps_package

    cache = ROOT / ".venv" / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(wheels))
        sweeps_package.find_python(lambda _line: None)
    return cache


@pytest.fixture(scope="session")
def ask_sweeps(sweeps_cache: Path) -> Callable[[str, object], object]:
    """Run code where W&B's `sweeps` package is: it finds `asked` and leaves `answer`."""
    (python,) = sweeps_cache.glob("runferry/sweeps-*/bin/python")

    def ask(code: str, asked: object) -> object:
        program = f"import json, sys\nasked = json.load(sys.stdin)\n{code}\njson.dump(answer, sys.stdout)"
        command = [python, "-W", "ignore", "-c", program]
        done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


def _python_with_wandb(version: str) -> Path:
    if version == installed_version("wandb"):
        return Path(sys.executable)
    return _python_with("wandb", version)


def _python_with(package: str, version: str) -> Path:
    folder = ROOT / ".venv" / f"{package}-{version}"
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
            subprocess.run([*pip, *source, package if version == "newest" else f"{package}=={version}"], check=True)
            complete.touch()
    return python


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail CI when a test was skipped: what it needs is CI's to install."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        reporter.write_line("CI: a test was skipped (see above), which is a failure here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

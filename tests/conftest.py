"""What tests of several folders share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from runferry.runs.folder import RunFolder
from runferry_standin import running
from support.paths import FRAMEWORKS, ROOT, WHEELS
from support.pythons import python_with, python_with_wandb
from support.wandb_clients import NEWEST, VERSIONS, Wandb
from support.written_runs import Written, name_of, write_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runferry_standin import StandIn


@pytest.fixture(scope="session")
def wandb_python() -> Callable[[str], Path]:
    """Give the Python of an environment that has wandb of a version, as a training environment has it.

    The environments stay in `.venv/wandb-<version>`; the controller's own version needs none.
    """
    return cache(python_with_wandb)


@pytest.fixture(scope="session")
def comet_python() -> Callable[[str], Path]:
    """Give the Python of an environment with comet_ml and nothing else, of a version or the "newest".

    The environments stay in `.venv/comet_ml-<version>`; the program `comet` is beside the Python.
    """
    return cache(lambda version: python_with("comet_ml", version))


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
    (python,) = sweeps_cache.glob("runferry/sweeps-*-wandb-*/bin/python")

    def ask(code: str, asked: object) -> object:
        program = f"import json, sys\nasked = json.load(sys.stdin)\n{code}\njson.dump(answer, sys.stdout)"
        command = [python, "-W", "ignore", "-c", program]
        done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


@pytest.fixture
def server() -> Iterator[StandIn]:
    with running() as standin:
        yield standin


@pytest.fixture(params=VERSIONS)
def wandb(
    request: pytest.FixtureRequest, wandb_python: Callable[[str], Path], server: StandIn, tmp_path: Path
) -> Wandb:
    """Each supported version in turn."""
    return Wandb(wandb_python(request.param), tmp_path, server)


@pytest.fixture
def newest_wandb(wandb_python: Callable[[str], Path], server: StandIn, tmp_path: Path) -> Wandb:
    """The controller's own version."""
    return Wandb(wandb_python(NEWEST), tmp_path, server)


@pytest.fixture(scope="session")
def written(wandb_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Written:
    """One finished run of each supported version, written once."""
    written = Written(tmp_path_factory.mktemp("written") / "results", {each: wandb_python(each) for each in VERSIONS})
    for version, python in written.pythons.items():
        write_run(python, RunFolder(written.results / "experiment" / name_of(version)))
    return written


@pytest.fixture
def connected(server: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process that syncs finds the stand-in and nothing of the person's who runs the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name, value in {**server.environment, "WANDB_ERROR_REPORTING": "false", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail CI when a test was skipped: what it needs is CI's to install."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        reporter.write_line("CI: a test was skipped (see above), which is a failure here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

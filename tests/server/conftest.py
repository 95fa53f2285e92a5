"""A running stand-in and real wandb clients that talk to it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

import pytest
from written_runs import Written, name_of, write_run

from runferry.run_folder import RunFolder
from runferry.standin import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runferry.standin import StandIn

NEWEST = installed_version("wandb")
VERSIONS = ["0.22.3", "0.27.2", NEWEST]


@dataclass
class Wandb:
    """wandb of one version, in a folder of its own, with the stand-in as its server."""

    python: Path
    folder: Path
    server: StandIn

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        own = {
            "HOME": str(self.folder),
            "WANDB_DIR": str(self.folder),
            "WANDB_CACHE_DIR": str(self.folder / "cache"),
            "WANDB_CONFIG_DIR": str(self.folder / "config"),
            "WANDB_DATA_DIR": str(self.folder / "data"),
            # Tests talk to nobody outside: its makers' error reports go to another server.
            "WANDB_ERROR_REPORTING": "false",
            "NO_PROXY": "127.0.0.1",
        }
        return inherited | own | self.server.environment | more

    def run(self, code: str, *arguments: str, **environment: str) -> str:
        """Run Python code and return what it printed; fails the test when the code fails."""
        return self._call(["-c", code, *arguments], environment)

    def sync(self, *segments: Path, include_synced: bool = False, **environment: str) -> str:
        """`wandb sync`; returns what it printed."""
        options = ["--include-synced"] if include_synced else []
        return self._call(["-m", "wandb", "sync", *options, *map(str, segments)], environment)

    def segments(self) -> list[Path]:
        return sorted((self.folder / "wandb").glob("offline-run-*"))

    def _call(self, arguments: list[str], environment: dict[str, str]) -> str:
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


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

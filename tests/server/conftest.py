"""A running stand-in and real wandb clients that talk to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from wandb_clients import NEWEST, VERSIONS, Wandb
from written_runs import Written, name_of, write_run

from runferry.runs.folder import RunFolder
from runferry_standin import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runferry_standin import StandIn


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

"""Real wandb clients that talk to a stand-in."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from runferry_standin import StandIn

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

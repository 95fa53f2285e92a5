"""What the server refused a `wandb sync`, which says nothing of it: its exit code is 0, the reason is in its own log.

wandb-core (0.31) writes a JSON line for each answer that is an error, `{"msg": "api: HTTP error", "status": 403, "url":
..., "sync_path": ...}` (measured). Storage is another server's, with keys of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_UNKNOWN = 401
FORBIDDEN = 403


class Refusals:
    """What was refused so far for the key's sake.

    Attributes
    ----------
    status_of : dict
        HTTP status, 401 or 403, by the folder of the segment that was being sent.
    """

    def __init__(self, folder: Path, base_url: str) -> None:
        """Follow the logs below `folder`, of what was asked of the server at `base_url`."""
        self.status_of: dict[Path, int] = {}
        self._folder = folder
        self._asked = (f"{base_url}/graphql", f"{base_url}/files/")
        self._read: dict[Path, int] = {}

    @property
    def key_unknown(self) -> bool:
        """Whether the server does not know the key, so that no other run needs to be tried."""
        return KEY_UNKNOWN in self.status_of.values()

    def look(self) -> None:
        """Read what is new in the logs."""
        for line in self._lines():
            if b'"api: HTTP error"' not in line:
                continue
            try:
                said = json.loads(line)
                if said["status"] in {KEY_UNKNOWN, FORBIDDEN} and said["url"].startswith(self._asked):
                    self.status_of[Path(said["sync_path"]).parent] = said["status"]
            except (ValueError, KeyError, TypeError, AttributeError):
                continue

    def _lines(self) -> Iterator[bytes]:
        for file in self._folder.glob("**/debug-sync*.log"):
            with file.open("rb") as log:
                log.seek(self._read.get(file, 0))
                for line in log:
                    if not line.endswith(b"\n"):
                        break
                    self._read[file] = self._read.get(file, 0) + len(line)
                    yield line

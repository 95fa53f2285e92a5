"""What a server refused a moment ago, so that each of a thousand rules need not find it out for itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runferry.files import read_json, write_json
from runferry.results_lock import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

REMEMBERED_SECONDS = 60.0


class Trouble:
    """The last trouble of a results folder's server."""

    def __init__(self, results: Path) -> None:
        self._file = results / FOLDER / "trouble.json"

    def remember(self, base_url: str | None, line: str) -> None:
        """Keep the line that says what the trouble is."""
        write_json(self._file, {"base_url": base_url, "line": line, "time": time.time()})

    def recent(self, base_url: str | None) -> str | None:
        """Return the line where the trouble with this server is less than a minute old."""
        try:
            found = read_json(self._file)
            age = time.time() - found["time"]
            return found["line"] if found["base_url"] == base_url and 0 <= age < REMEMBERED_SECONDS else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def forget(self) -> None:
        """Remove it: the server answers again."""
        self._file.unlink(missing_ok=True)

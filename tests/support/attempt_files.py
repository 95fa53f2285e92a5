"""The records of a run's attempts as they lie on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder


def attempts_of(folder: RunFolder) -> list[dict[str, Any]]:
    """Decode `attempts/<n>.json`, first to last."""
    numbers = sorted(int(file.stem) for file in folder.attempts_folder.glob("*.json"))
    return [json.loads((folder.attempts_folder / f"{number}.json").read_text()) for number in numbers]

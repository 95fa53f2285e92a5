"""Data on its way onto the node."""

from __future__ import annotations

from pathlib import Path

from runferry.config.data import Item
from runferry.launch.staging import Staging


def staged(folder: Path, *items: Item) -> tuple[dict[str, Path], list[str]]:
    folder.mkdir(exist_ok=True)
    said: list[str] = []
    staging = Staging(items, folder, said.append)
    staging.start()
    return staging.finish(), said

"""The limits of a sync in tests: short, but for a server that counts late (STANDIN_LAG=2 pytest tests/sync)."""

from __future__ import annotations

import os
from typing import Any

from runferry.sync.outcome import Limits

LAG = float(os.environ.get("STANDIN_LAG", "0"))
"""Seconds by which every stand-in of the tests is late."""


def within(patience: float, deadline: float, **more: Any) -> Limits:
    """Limits of so many seconds beside what the server is late."""
    return Limits(patience + 4 * LAG, deadline, settle=LAG + 0.5 if LAG else 0.1, **more)

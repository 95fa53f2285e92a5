"""Waiting for a report's page, whose policy forbids what Playwright's own waiting for a function does."""

from __future__ import annotations

from typing import Any


def wait_until_drawn(page: Any, seconds: float = 120) -> None:
    """Wait until the page is ready and all its charts are drawn, those outside of the window too."""
    # Generous: others may have the machine's cores.
    page.locator("body[data-ready]").wait_for(timeout=seconds * 1000)
    for _ in range(round(seconds * 10)):
        if page.evaluate("charts.every((chart) => !chart.dirty || !chart.plot.clientWidth)"):
            return
        page.wait_for_timeout(100)
    message = f"the charts were not drawn within {seconds} s"
    raise TimeoutError(message)

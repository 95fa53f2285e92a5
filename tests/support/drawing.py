"""A browser for what is no test, and waiting for a report's page, whose policy forbids Playwright's own waiting."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def chromium() -> Iterator[Any]:
    """Give the system's Chromium, as the tests' fixture `browser` does."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


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

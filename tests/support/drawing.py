"""A browser for what is no test, and waiting for a report's page, whose policy forbids Playwright's own waiting."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


def becomes(wanted: object, look: Callable[[], object], seconds: float = 60) -> None:
    """Assert that a page comes to show what is wanted: it hears of a press or a medium when it has the time."""
    end = time.monotonic() + seconds
    while (seen := look()) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    assert seen == wanted

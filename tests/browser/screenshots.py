"""Draw the pictures of the report in docs/images: python tests/browser/screenshots.py [FOLDER]."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from drawing import wait_until_drawn  # noqa: E402 - it lies in this folder

from large_sweep import write_sweep  # noqa: E402 - above it
from runferry.report import build_report  # noqa: E402 - as above


def main() -> None:
    """Draw the head of the page, its attempts, and the head in the dark."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        experiment = Path(folder) / "sweep"
        write_sweep(experiment, 48, 120)
        page_file = build_report(experiment)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme, name in (("light", "report.png"), ("dark", "report-dark.png")):
            context = browser.new_context(viewport={"width": 1280, "height": 1060}, color_scheme=scheme)
            page = context.new_page()
            page.goto(page_file.as_uri())
            wait_until_drawn(page)
            page.screenshot(path=target / name)
            if scheme == "light":
                page.locator("section[aria-labelledby=attempts-title]").screenshot(path=target / "attempts.png")
        browser.close()


if __name__ == "__main__":
    main()

"""The documentation's site: built strictly, whole, and asking nothing of the network."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from runferry.config.cluster import cluster_names, facts
from support.documented_commands import ROOT

sys.path.insert(0, str(ROOT / "docs" / "hooks"))

from config_reference import config_reference, keys
from state_diagram import arrows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
LOOKED_AT = [
    "index",
    "first-steps",
    "what-happens-when",
    "how-it-works",
    "contributing",
    "examples",
    "plan",
    "clusters/narval",
    "config/reference",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def _text(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_it_is_built_strictly(site):
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file()


def test_no_page_loads_anything_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(https?:[^\" >]+)", page.read_text())
        assert loaded == [], page


def test_the_diagrams_are_drawn_with_every_arrow_and_its_words(site):
    written, drawn = (ROOT / "docs" / "how-it-works.md").read_text(), (site / "how-it-works.html").read_text()
    assert "-->" not in _text(site / "how-it-works.html")
    arrows = arrows_of(written)
    assert len(arrows) > 10
    (states,) = re.findall(r'<svg class="way states".*?</svg>', drawn, re.DOTALL)
    assert states.count('marker-end="url(#on)"') == len(arrows)
    for begin, end, words in arrows:
        assert f">{words}</text>" in states
        assert f">{begin.replace('_', ' ')}</text>" in states
        assert f">{end.replace('_', ' ')}</text>" in states


def test_a_french_page_says_that_it_is_french(site):
    assert re.search(r'<html[^>]*lang="fr"', (site / "fr" / "premiers-pas.html").read_text())
    assert re.search(r'<html[^>]*lang="en"', (site / "index.html").read_text())


def test_the_first_steps_are_the_same_in_both_languages():
    commands = [
        re.findall(r"^\$ .*$", (ROOT / "docs" / name).read_text(), re.MULTILINE)
        for name in ("first-steps.md", "fr/premiers-pas.md")
    ]
    assert commands[0] == commands[1]
    assert len(commands[0]) > 10


@pytest.mark.parametrize("name", [name for name in cluster_names() if name != "local"])
def test_a_clusters_page_has_its_facts_with_where_they_were_read(name, site):
    given, page = facts(name), _text(site / "clusters" / f"{name}.html")
    for model, found in given["gpu"]["models"].items():
        assert model in page
        assert found["memory"] is None or found["memory"] in page
    assert all(instance in page for instance in given["gpu"]["instances"])
    assert " ".join(given["wandb"]["reason"].split()) in " ".join(page.split())
    for source in given["sources"].values():
        assert source["page"] in page
        assert source["read"] in page
    if given["retired"]:
        assert given["retired"]["since"] in page


def test_every_key_of_the_config_has_a_line():
    page = config_reference(SCHEMA)
    for key in keys(SCHEMA):
        assert page.count(f"\n| `{key}` |") == 1, key
    # Said by hand, in words: none is missing there either.
    by_hand = set(re.findall(r"^\| `([\w.<>]+)` \|", (ROOT / "config" / "README.md").read_text(), re.MULTILINE))
    assert by_hand - set(keys(SCHEMA)) == set()


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    """Where the site is served: its search needs a server."""
    handler = partial(SilentHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_pages_are_readable_on_a_wide_screen_and_on_a_narrow_one(address):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (1280, 390):
            page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
            # Generous: other tests may have the machine's cores.
            page.set_default_timeout(120_000)
            said: list[str] = []
            asked: list[str] = []
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            for name in LOOKED_AT:
                page.goto(f"{address}{name}.html")
                page.locator("article h1").wait_for()
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, width)
            if width > 1000:
                page.goto(f"{address}index.html?q=scancel")
                page.locator(".md-search-result__link", has_text="What happens when").first.wait_for()
                page.goto(f"{address}first-steps.html")
                # What the button copies can be pasted into a shell.
                page.evaluate(
                    "document.addEventListener('copy', () => { window.copied = document.activeElement.value; })"
                )
                page.locator(".md-code__button[data-md-type=copy]").first.click()
                page.wait_for_function("window.copied")
                assert "module load python/3.11" in page.evaluate("window.copied").splitlines()
            assert said == []
            assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
        browser.close()

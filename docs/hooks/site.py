"""What MkDocs calls while it builds the site: for the pages that are made from other files, and for the language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_pages import cluster_pages
from config_reference import config_reference
from flowchart import draw_flowcharts
from mkdocs.structure.files import File
from state_diagram import draw_state_diagrams

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent.parent

#: A link of the repository's own pages -> what it is on the site.
_LINKS = {
    "../profiles/README.md": "../clusters/index.md",
    "../docs/module.md": "../module.md",
    "../docs/wrappers.md": "../wrappers.md",
    "../docs/library.md": "../library.md",
    "../docs/data-and-environments.md": "../data-and-environments.md",
}


def made_pages() -> dict[str, str]:
    """Make the pages that are in no file of docs/: the page's path -> its Markdown."""
    guide = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    for link, on_the_site in _LINKS.items():
        guide = guide.replace(f"]({link}", f"]({on_the_site}")
    return {
        "config/guide.md": guide,
        "config/reference.md": config_reference(ROOT / "workflow" / "schemas" / "config.schema.yaml"),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "]("),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        **cluster_pages(ROOT),
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for path, text in made_pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - as MkDocs calls it
    """Draw the flowcharts and state diagrams of a page; a link to CONTRIBUTING.md leads to what is made from it."""
    return draw_state_diagrams(draw_flowcharts(markdown.replace("](../CONTRIBUTING.md", "](contributing.md")))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - as MkDocs calls it
    """Let the long names of tests and keys break where they have a mark, not within a word."""

    def breakable(found: re.Match[str]) -> str:
        return "<code>" + re.sub(r"(/|::|_|\.(?=\w|&lt;))", r"\1<wbr>", found[1]) + "</code>"

    return re.sub(
        r"<code>(tests/[^<]*|(?:[\w\[\]]+|&lt;name&gt;)(?:\.(?:[\w\[\]]+|&lt;name&gt;))+)</code>", breakable, html
    )


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001 - as MkDocs calls it
    """Say the language of a French page, for screen readers and search."""
    if page.file.src_uri.startswith("fr/"):
        return re.sub(r'(<html\b[^>]*\blang=)"en"', r'\1"fr"', output, count=1)
    return output

"""What MkDocs calls while it builds the site: the pages that are made from other files, and the language of each page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_pages import cluster_pages
from config_reference import config_reference
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent.parent

#: A link of the repository's own pages -> what it is on the site.
_LINKS = {"../profiles/README.md": "../clusters/index.md"}


def made_pages() -> dict[str, str]:
    """Make the pages that are in no file of docs/: the page's path -> its Markdown."""
    guide = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    for link, on_the_site in _LINKS.items():
        guide = guide.replace(f"]({link})", f"]({on_the_site})")
    return {
        "config/guide.md": guide,
        "config/reference.md": config_reference(ROOT / "workflow" / "schemas" / "config.schema.yaml"),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        **cluster_pages(ROOT),
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for path, text in made_pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001 - MkDocs names its arguments
    """Say the language of a French page, for screen readers and search."""
    if page.file.src_uri.startswith("fr/"):
        return re.sub(r'(<html\b[^>]*\blang=)"en"', r'\1"fr"', output, count=1)
    return output

"""Write the lock: every installed package with its version and its origin."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SEEDED = "virtualenv"
"""Where pip and setuptools come from: they are part of virtualenv."""


def packages_in(folders: Iterable[Path]) -> list[Distribution]:
    """List the packages that are installed in `folders`, by name."""
    found = distributions(path=[str(folder) for folder in folders])
    return sorted(found, key=lambda package: (normalised(package.name), package.name))


def requirement_of(package: Distribution) -> str:
    """Return an installed package as a line of a requirements file.

    A package from a version control system is named with its commit, an editable one with its folder, any other with
    its version: the wheel that it came from may be gone.
    """
    text = package.read_text("direct_url.json")
    direct: Mapping[str, Any] = json.loads(text) if text else {}
    if "vcs_info" in direct:
        information = direct["vcs_info"]
        return f"{package.name} @ {information['vcs']}+{direct['url']}@{information['commit_id']}"
    if direct.get("dir_info", {}).get("editable"):
        return f"-e {direct['url']}"
    return f"{package.name}=={package.version}"


def origins_in(report: Mapping[str, Any], wheelhouse: Sequence[Path], downloads: Path) -> dict[str, str]:
    """Read the origin of each package from pip's installation report, by normalised name.

    Parameters
    ----------
    report
        What `pip install --report` wrote.
    wheelhouse
        The folders of wheels that the site's configuration of pip names.
    downloads
        The folder of what was downloaded because the wheelhouse lacks it.
    """
    return {
        normalised(item["metadata"]["name"]): _origin(item["download_info"], wheelhouse, downloads)
        for item in report.get("install", [])
    }


def lock_text(packages: Sequence[Distribution], origins: Mapping[str, str], header: Iterable[str]) -> str:
    """Return the text of the lock: a requirements file that pip reads, with each package's origin in a comment.

    Parameters
    ----------
    header
        Lines to stand above it, without the `#`.
    """
    lines = [f"{requirement_of(package)}  # {origins.get(normalised(package.name), SEEDED)}" for package in packages]
    return "".join(f"{line}\n" for line in [*(f"# {line}" for line in header), *lines])


def count_origins(packages: Iterable[Distribution], origins: Mapping[str, str]) -> dict[str, int]:
    """Count packages by kind of origin: "wheelhouse", "index", "local wheel"."""
    kinds = (origins.get(normalised(package.name), SEEDED).partition(":")[0] for package in packages)
    return dict(sorted(Counter(kinds).items()))


def normalised(name: str) -> str:
    """Return a package's name as the package index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _origin(download: Mapping[str, Any], wheelhouse: Sequence[Path], downloads: Path) -> str:
    url: str = download["url"]
    if "vcs_info" in download:
        return f"{download['vcs_info']['vcs']}: {url}@{download['vcs_info']['commit_id']}"
    if "dir_info" in download:
        return f"folder: {_path(url)}"
    if not url.startswith("file:"):
        return f"index: {urlsplit(url).hostname}"
    path = _path(url)
    if path.is_relative_to(downloads):
        return "index: downloaded, because the wheelhouse lacks it"
    if any(path.is_relative_to(folder) for folder in wheelhouse):
        return f"wheelhouse: {path.name}"
    return f"local wheel: {path}"


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))

"""An existing virtual environment, taken as it is."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from runferry.errors import PackingError

if TYPE_CHECKING:
    from pathlib import Path


def copy_environment(source: Path, tree: Path) -> Path:
    """Copy the virtual environment `source` to `tree` and return the path that it was built in.

    A link that leads out of it, such as those that uv makes into its cache, becomes the file that it leads to, but for
    the base Python in `bin`.

    Raises
    ------
    PackingError
        When it cannot be read.
    """
    source = source.resolve()
    try:
        shutil.copytree(source, tree, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    except (OSError, shutil.Error) as error:
        raise PackingError(
            f"{source}: found that it cannot be copied ({str(error)[:300]}), expected files that this user can read"
        ) from error
    for link in [path for path in tree.rglob("*") if path.is_symlink() and path.parent != tree / "bin"]:
        original = (source / link.relative_to(tree)).resolve()
        if original.is_relative_to(source) or not original.exists():
            continue
        link.unlink()
        if original.is_dir():
            shutil.copytree(original, link)
        else:
            shutil.copy2(original, link)
    return _built_in(source)


def _built_in(source: Path) -> Path:
    """Read from `activate` which path the environment's files name: it may have been moved since."""
    activate = source / "bin" / "activate"
    for line in activate.read_text().splitlines() if activate.is_file() else []:
        name, _, value = line.strip().partition("=")
        if name == "VIRTUAL_ENV":
            path = value.strip("'\"")
            if path.startswith("/"):
                return type(source)(path)
    return source

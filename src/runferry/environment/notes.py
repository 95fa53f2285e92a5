"""Find what an environment's source asks for that pip does not do here."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from runferry.environment.requirements import index_options
from runferry.environment.specification import project_folder
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runferry.environment.specification import Specification


def notes_of_source(specification: Specification) -> Iterator[str]:
    """Yield one line for each thing that the source asks for and will not get."""
    source = specification.source
    if specification.kind in {"requirements", "lock"} and specification.no_index and not specification.index_allowed:
        try:
            options = index_options(source)
        except ConfigError:
            return
        for option, url in options:
            message = f"{source}: {option} {url} is not asked: packages come from the site's wheelhouse"
            yield f"{message}; environment.index: allowed asks it for what is not there"
    if specification.kind != "pyproject":
        return
    folder = project_folder(source)
    try:
        content: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())
    except (OSError, ValueError):
        return
    if sources := content.get("tool", {}).get("uv", {}).get("sources"):
        message = f"{folder / 'pyproject.toml'}: [tool.uv.sources] is uv's own, and pip does not read it"
        yield f"{message}: for {', '.join(sources)} write the source in dependencies, as `name @ git+https://...`"
    if (folder / "uv.lock").is_file():
        message = f"{folder / 'uv.lock'}: pip does not read it, and chooses versions anew"
        yield f"{message}; to have its versions: uv export --no-emit-project -o lock.txt, for environment.lock"

"""Read what Snakemake was asked for on its command line, before it says so itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_DRY_RUN = re.compile(r"--dry-?run|--dry|-[pqFkftR]*n[pqFkft]*")


def wants_dry_run(words: Sequence[str]) -> bool:
    """Return whether Snakemake was started with `-n`, alone or among other short options.

    Snakemake itself knows it only once the Snakefile is read (9.17 to 9.27).

    >>> wants_dry_run(["--profile", "profiles/narval", "-np"]), wants_dry_run(["--nolock"])
    (True, False)
    """
    return any(_DRY_RUN.fullmatch(word) for word in words)

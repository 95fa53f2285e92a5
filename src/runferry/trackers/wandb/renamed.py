"""Keep the ids under which W&B runs are sent, where they are not the ones that their segments were written with."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from runferry.errors import NotVerifiedError
from runferry.system.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runferry.runs.folder import RunFolder

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def read_renamed(folder: RunFolder) -> dict[str, str]:
    """Read the ids that W&B runs have on the server, by those in their segments; empty where none was renamed.

    Raises
    ------
    NotVerifiedError
        When the file is not as it was written.
    """
    try:
        found = read_json(folder.renamed_file)
        return {str(old): str(new) for old, new in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        message = f"{folder.renamed_file}: found a file that cannot be read ({error})"
        raise NotVerifiedError(f"{message}, expected what runferry rename wrote; rename the run again") from error


def write_renamed(folder: RunFolder, ids: Iterable[str]) -> dict[str, str]:
    """Write new ids of W&B runs, the old ones with four letters behind them; return them by the old ones.

    Raises
    ------
    OSError
        When they cannot be written.
    """
    renamed = {old: f"{old}-{''.join(secrets.choice(LETTERS) for _ in range(4))}" for old in ids}
    write_json(folder.renamed_file, renamed)
    return renamed

"""Find the W&B server and the key for it."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runferry.errors import ServerError
from runferry.trackers.api_keys import KEY_VARIABLE, held_key
from runferry.trackers.wandb.address import NEW_NAME, OLD_NAME, given_base_url, server_url
from runferry.trackers.wandb.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable


def find_server(
    base_url: str | None = None, *, deadline: float | None = None, say: Callable[[str], None] = lambda _line: None
) -> Server:
    """Find the server and the key for it, as wandb itself does: environment, then netrc.

    Between the two, the key that the Snakemake which called this has put away (see `runferry.trackers.api_keys`).

    Parameters
    ----------
    base_url
        The config's `wandb.base_url`; None is `$WANDB_BASE_URL`, else what the installed wandb would use.
    deadline, say
        Those of `Server`.

    Raises
    ------
    ServerError
        When the address is no URL or there is no key for it.
    """
    url = server_url(base_url)
    if key := os.environ.get(KEY_VARIABLE) or held_key():
        return Server(url, key, KEY_VARIABLE, deadline, say)
    file = _netrc_file()
    host = urlsplit(url).netloc
    if key := _key_in_netrc(file, host):
        return Server(url, key, str(file), deadline, say)
    message = (
        f"{url}: found no key ({KEY_VARIABLE} is not set, {file} has none for {host}), expected one; run: wandb login"
    )
    raise ServerError(message)


def missing_key(base_url: str | None = None) -> str | None:
    """Return what `find_server` says of a key that is missing, or of its address; None where there is a key.

    For every start of Snakemake: wandb, which takes half a second to be imported, is not asked for its own address.
    """
    try:
        find_server(given_base_url(base_url) or f"https://{NEW_NAME}")
    except ServerError as error:
        return str(error)
    return None


def job_finds_key(base_url: str | None = None) -> bool:
    """Return whether netrc, which an online job reads itself, has the key of this process's variables.

    True as well where these have none. `base_url` is that of `find_server`, which says what is raised.
    """
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        return True
    url = server_url(base_url)
    try:
        return _key_in_netrc(_netrc_file(), urlsplit(url).netloc) == key
    except ServerError:
        return False


def _key_in_netrc(file: Path, host: str) -> str | None:
    try:
        entries = netrc.netrc(file)
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError) as error:
        raise ServerError(f"{file}: found a file that cannot be read ({error}), expected a netrc file") from error
    found = entries.authenticators(host) or entries.authenticators(OLD_NAME if host == NEW_NAME else host)
    return (found[2] or None) if found else None


def _netrc_file() -> Path:
    if given := os.environ.get("NETRC"):
        return Path(given).expanduser()
    old = Path("~/_netrc").expanduser()
    return old if old.is_file() and not Path("~/.netrc").expanduser().is_file() else Path("~/.netrc").expanduser()

"""Find the address of the W&B server, and the addresses that follow from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from runferry.config.wandb_settings import stored_settings
from runferry.errors import ServerError

# Since wandb 0.31 W&B's own server has a new name; the keys that `wandb login` stored before lie under the old one, and
# both names have one page for a browser (read in wandb 0.31.0, sdk/lib/urls.py; a test compares).
NEW_NAME, OLD_NAME = "api.forge.coreweave.com", "api.wandb.ai"
_PAGES = "https://forge.coreweave.com/wandb"


def given_base_url(base_url: str | None) -> str | None:
    """Return the server's address where one is set: in the config, in `$WANDB_BASE_URL`, or in wandb's settings files.

    Of these, that of the working directory counts before the user's, as for wandb.
    """
    if url := base_url or os.environ.get("WANDB_BASE_URL"):
        return url.rstrip("/") or None
    users = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser() / "settings"
    for file in (Path("wandb", "settings").absolute(), users):
        if url := stored_settings(file).get("base_url"):
            return url.rstrip("/")
    return None


def server_url(base_url: str | None = None) -> str:
    """Return the server's address; where none is set, ask the installed wandb for the one that it would use.

    Raises
    ------
    ServerError
        When it is no URL, or wandb cannot be asked.
    """
    url = given_base_url(base_url) or _wandbs_own_base_url().rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ServerError(f"WANDB_BASE_URL: found {url!r}, expected a URL such as https://api.wandb.ai")
    return url


def app_url(base_url: str) -> str:
    """Return the address where a browser shows the runs: the API's without `api.`, as wandb derives it."""
    if given := os.environ.get("WANDB_APP_URL"):
        return given.rstrip("/")
    scheme, host = base_url.split("://", 1)
    if host in {NEW_NAME, OLD_NAME}:
        return _PAGES
    if host.startswith("api.wandb."):
        return f"{scheme}://{host.removeprefix('api.')}"
    if host.startswith("api."):
        return f"{scheme}://app.{host.removeprefix('api.')}"
    return base_url


def _wandbs_own_base_url() -> str:
    # The default changed in 0.31: wandb is asked itself, in a process of its own, and only where nothing is set.
    code = "import wandb; print(wandb.Settings().base_url)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    lines = done.stdout.split()
    if done.returncode or not lines:
        raise ServerError(
            "expected wandb to name its server, found no answer; set WANDB_BASE_URL, such as https://api.wandb.ai"
        )
    return lines[-1]


def is_wandbs_own(url: str) -> bool:
    """Return whether a URL is that of W&B's own server, which has files sent to a storage elsewhere."""
    return urlsplit(url).hostname in {NEW_NAME, OLD_NAME}

"""Check whether W&B's server can be reached from the login node, and whether it takes the key (never shown)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runferry.config.sync_place import LOGIN
from runferry.doctor.finding import Finding
from runferry.doctor.reach import STORAGE, reach
from runferry.errors import ServerError
from runferry.trackers.wandb.address import is_wandbs_own, server_url
from runferry.trackers.wandb.login import find_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runferry.doctor.site import Site

ABOUT = "W&B"
SECONDS = 30.0


def wandb_server(site: Site) -> Iterator[Finding]:
    """Check whether the server answers, then whether it takes the key; neither where no login node has a way to it."""
    url = server_url(site.base_url)
    answer = reach(url, os.environ)
    todo = "without it nothing can be synced from here; `runferry sync` on another machine will do"
    if not answer.reached and LOGIN not in site.cluster.sync.where:
        elsewhere = " or ".join(site.cluster.sync.where)
        yield Finding(ABOUT, "server", "ok", f"{url}: {answer.how}, as expected; set sync.where to {elsewhere}")
        return
    if not answer.reached:
        yield Finding(ABOUT, "server", "problem", f"{url}: {answer.how}", "an answer", todo)
    else:
        yield Finding(ABOUT, "server", "ok", f"{url}: {answer.how}")
    if is_wandbs_own(url):
        stored = reach(STORAGE, os.environ)
        mark = "ok" if stored.reached else "problem"
        yield Finding(ABOUT, "its storage of files", mark, f"{STORAGE}: {stored.how}", "an answer" * (mark != "ok"))
    try:
        server = find_server(site.base_url)
    except ServerError as error:
        yield Finding(ABOUT, "key", "problem", str(error), "a key")
        return
    if not answer.reached:
        yield Finding(ABOUT, "key", "unknown", f"there is one, from {server.key_source}; the server cannot be asked")
        return
    try:
        server.default_entity()
    except ServerError as error:
        yield Finding(ABOUT, "key", "problem", str(error), "a key that the server takes")
        return
    yield Finding(ABOUT, "key", "ok", f"the one from {server.key_source} is valid")

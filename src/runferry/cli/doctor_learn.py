"""Draft a cluster's file of facts: `runferry doctor --learn`."""

from __future__ import annotations

import os
import re
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import ConfigError
from runferry.system.files import write_numbered
from runferry.system.messages import say

if TYPE_CHECKING:
    import argparse

    from runferry.doctor.learn.probe import NodeSeen

_NAME = re.compile(r"[a-z][a-z0-9]*")


def learn(given: argparse.Namespace) -> int:
    """Ask this login node's Slurm, write the draft, and say what is still to be looked at.

    Raises
    ------
    ConfigError
        When the name is none that a cluster can have, or there is no Slurm here.
    """
    from runferry.doctor.learn.draft import UNKNOWN, Learned, draft
    from runferry.doctor.learn.models import models_of
    from runferry.doctor.learn.probe import probe_node
    from runferry.doctor.learn.requests import try_requests
    from runferry.doctor.learn.slurm import look_at_slurm
    from runferry.doctor.learn.software import newest_python_module
    from runferry.doctor.reach import reach
    from runferry.doctor.site import configured_base_url
    from runferry.trackers.wandb.address import server_url

    name: str = given.learn
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--learn: found {name!r}, expected a name of small letters and digits, as the site's own")
    if shutil.which("sbatch") is None:
        raise ConfigError("--learn: found no sbatch here, expected a login node of the cluster")
    say("doctor: asks Slurm what this site has, and tests some requests, a second apart; nothing is submitted")
    seen = look_at_slurm()
    models = models_of(seen)
    accepted = try_requests(seen, models)
    url = server_url(configured_base_url(Path.cwd()))
    node: NodeSeen | str = "no job was submitted; --probe does"
    if given.probe:
        say("doctor: submits one job of five minutes and waits for it; Ctrl-C ends that")
        model = models[0] if models and accepted.option and not given.no_gpu else None
        node = probe_node(seen, accepted, model, url, 60 * given.patience)
    learned = Learned(
        name,
        socket.getfqdn(),
        f"{datetime.now(UTC):%Y-%m-%d}",
        seen,
        models,
        accepted,
        node,
        reach(url, os.environ).reached,
        newest_python_module(),
        shutil.which("avail_wheels") is not None,
    )
    text = draft(learned)
    file = write_numbered(given.output or Path(f"{name}.yaml"), text)
    # The head of the file names the words, too.
    open_lines = sum(UNKNOWN in line for line in text.splitlines() if not line.startswith("#"))
    say(f"doctor: {file} is a draft; {open_lines} lines say {UNKNOWN}: look at these, as docs/adding-a-cluster.md says")
    return 0

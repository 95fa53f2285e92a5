"""Define `runferry init`: write a first config for the repository that it is typed in."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands
    from runferry.config.cluster import Cluster

_IGNORED = ("results/", "logs/", ".snakemake/", "wandb/")


def add_init(commands: Commands) -> None:
    """Add `init` to the command line."""
    parser = commands.add_parser(
        "init",
        help="write a first config for the repository that you are in",
        description="Write config/config.yaml for the repository that you are in, a sweep to edit, and lines for "
        ".gitignore. It looks for the script that calls wandb.init() and what it takes (argparse, click or "
        "wandb.config), requirements.txt, pyproject.toml or a file of conda's, a sweep definition, your Slurm "
        "accounts. Files are read, never run; none is overwritten. The next two commands are printed.",
        epilog="Exit code: 0 written; 2 nothing was written, and why.",
    )
    parser.add_argument("--cluster", metavar="NAME", help="such as narval (default: $CC_CLUSTER, else this machine)")
    parser.add_argument(
        "--from-sbatch",
        type=Path,
        metavar="FILE",
        help="the job script that you have today: its #SBATCH lines, modules, variables and command are taken over",
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="the script that trains, where it is not found")
    parser.add_argument("--account", metavar="NAME", help="the Slurm account that pays (default: yours)")
    parser.set_defaults(command=_init)


def _init(given: argparse.Namespace) -> int:
    from runferry.config.account import given_account, known_accounts
    from runferry.config.cluster import LOCAL, find_cluster
    from runferry.config.repository.proposal import Asked, propose
    from runferry.system.files import write_new

    said = "--cluster" if given.cluster else "$CC_CLUSTER" if os.environ.get("CC_CLUSTER") else "no $CC_CLUSTER is set"
    cluster = find_cluster(given.cluster or os.environ.get("CC_CLUSTER") or LOCAL)
    accounts = {re.sub(r"_(cpu|gpu)$", "", name): None for name in known_accounts()} if cluster.slurm else {}
    asked = Asked(cluster, given.script, given.from_sbatch, list(accounts), given_account({"account": given.account}))
    here = Path.cwd()
    made = propose(here, asked)
    for line in made.found:
        _say("found", line)
    _say("cluster", f"{cluster.name} ({said}{'; --cluster narval for another' * (not cluster.slurm)})")
    for file, text in made.files.items():
        write_new(here / file, text)
        _say("wrote", str(file))
    if added := _ignore(here / ".gitignore"):
        _say("added", f"{', '.join(added)} to .gitignore")
    for line in made.notes:
        _say("note", line)
    if refused := _refused(cluster):
        _say("note", f"the plan will refuse this: {refused}")
    start = f'snakemake --profile "$(runferry profile {cluster.name})"'
    sys.stdout.write(f"next:\n  runferry plan --profile {cluster.name}\n  {start}\n")
    return 0


def _say(word: str, line: str) -> None:
    sys.stdout.write(f"{word:<8} {line}\n")


def _ignore(file: Path) -> list[str]:
    """Add the lines that are missing to .gitignore; what is there stays."""
    text = file.read_text(encoding="utf-8", errors="surrogateescape") if file.exists() else ""
    there = {line.strip().strip("/") for line in text.splitlines()}
    missing = [line for line in _IGNORED if line.strip("/") not in there]
    if missing and (file.exists() or shutil.which("git")):
        with file.open("a", encoding="utf-8") as stream:
            stream.write("\n" * bool(text and not text.endswith("\n")) + "# What runferry makes.\n")
            stream.write("".join(f"{line}\n" for line in missing))
    return missing


def _refused(cluster: Cluster) -> str | None:
    """Return what the plan would refuse of the config that was written; None where it refuses nothing."""
    from runferry.config.job_request import make_request
    from runferry.config.loading import read_config
    from runferry.config.repository.proposal import CONFIG
    from runferry.config.site_limits import check_times
    from runferry.errors import ConfigError
    from runferry.workflow.entry import experiments_of

    try:
        made = experiments_of({**read_config(CONFIG), "cluster": cluster.name})
        for experiment in made.values():
            make_request(experiment, cluster)
        check_times(made.values(), cluster)
    except ConfigError as error:
        return str(error)
    return None

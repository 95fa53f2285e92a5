"""Define `runferry profile`: print where the profile of a cluster is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands


def add_profile(commands: Commands) -> None:
    """Add `profile` to the command line."""
    parser = commands.add_parser(
        "profile",
        help="print where the profile of a cluster is, for snakemake --profile",
        description="Print the path of the Snakemake profile of a cluster, or without a name the profiles that there "
        "are. It works from any folder: the profile names the workflow too.",
        epilog='For one start: snakemake --profile "$(runferry profile narval)" -n. For all that follow in this shell: '
        'export SNAKEMAKE_PROFILE="$(runferry profile narval)", then snakemake -n.',
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="of a cluster, such as narval, or local")
    parser.set_defaults(command=_profile)


def _profile(given: argparse.Namespace) -> int:
    from runferry.config.cluster import find_cluster
    from runferry.config.profiles import profile_names, shipped_profile

    if given.name:
        sys.stdout.write(f"{shipped_profile(given.name)}\n")
        return 0
    for name in profile_names():
        cluster = find_cluster(name)
        gone = f", gone since {cluster.retired.since}: {cluster.retired.successor}" if cluster.retired else ""
        sys.stdout.write(f"{name:<10} {cluster.title}{gone}\n")
    return 0

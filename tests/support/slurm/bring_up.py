"""Start and stop the test cluster by hand: `bring_up.py up`, `bring_up.py down`. tests/cluster/README.md says more."""

# ruff: noqa: T201, E402 (what a person reads is printed here, and imports come after the path)

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

# As a program of its own it finds the package that it is a part of.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from support.slurm import cluster as slurm_cluster
from support.slurm.namespaces import ClusterError
from support.slurm.network import WAYS, Firewall
from support.slurm.shape import DEFAULT, Node
from support.slurm.sites import SITES
from support.slurm.start import missing


def main() -> int:
    """Do what the command line says and return the exit code."""
    options = _options()
    # As Ctrl-C: what was begun is taken away again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        return {"up": _up, "down": _down, "network": _network}[options.do](options)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was left behind", file=sys.stderr)
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A Slurm cluster on this machine: root on Debian, no systemd.")
    parser.add_argument("--folder", type=Path, default=slurm_cluster.FOLDER, help="where it lives (%(default)s)")
    commands = parser.add_subparsers(dest="do", required=True)
    up = commands.add_parser("up", help="start it")
    text = "name[:cpus[:memory in MB[:model=count,...]]], once for each node; otherwise " + " ".join(map(str, DEFAULT))
    up.add_argument("--node", type=Node.parse, action="append", metavar="NODE", help=text)
    text = "whose partitions, qualities of service and accounts it has, and nodes where none are named (%(default)s)"
    up.add_argument("--site", choices=SITES, default="ours", help=text)
    commands.add_parser("down", help="stop it and remove all of it")
    for command in (up, commands.add_parser("network", help="change what the nodes reach")):
        text = "how a node fails to reach what it may not (%(default)s)"
        command.add_argument("--outside", choices=WAYS, default="unreachable", help=text)
        text = "a TCP port of the login side that nodes reach"
        command.add_argument("--open", type=int, action="append", default=[], metavar="PORT", help=text)
    return parser.parse_args()


def _up(options: argparse.Namespace) -> int:
    if reason := missing():
        raise ClusterError(reason)
    site = SITES[options.site]
    asked = slurm_cluster.Cluster(options.folder, options.node or site.nodes, _firewall(options), site)
    with slurm_cluster.one_at_a_time():
        there = slurm_cluster.found_in(options.folder)
        if there and there.answers():
            if options.node and list(map(str, there.shape)) != list(map(str, asked.shape)):
                msg = f"found a cluster of other nodes up ({', '.join(there.nodes)}); type: make cluster-down"
                raise ClusterError(msg)
            print(f"is up already: {', '.join(there.nodes)}")
            return 0
        begin = time.monotonic()
        asked.start()
    print(f"""up in {time.monotonic() - begin:.1f} s: {", ".join(asked.nodes)}; logs in {asked.folder}/log
{_tracking(asked)}
  sinfo -N -o '%N %c %m %G'
  sbatch --account=def-test_gpu --gpus=a100:1 --mem=1G --wrap='hostname; echo $SLURM_TMPDIR $CUDA_VISIBLE_DEVICES'
  make cluster-down""")
    return 0


def _tracking(cluster: slurm_cluster.Cluster) -> str:
    if cluster.tracks_by_cgroup:
        return "processes are tracked by cgroup, as at the sites: signals come to a step's task, memory is limited"
    return "processes are tracked by group (no cgroup v1 here): signals come to all of a step, memory is not limited"


def _down(options: argparse.Namespace) -> int:
    with slurm_cluster.one_at_a_time():
        there = slurm_cluster.found_in(options.folder)
        if slurm_cluster.in_use(options.folder):
            msg = "found that tests run on the cluster, expected nobody; wait for their end, or end them"
            raise ClusterError(msg)
        (there or slurm_cluster.Cluster(options.folder)).stop()
    print("down" if there else "was not up")
    return 0


def _network(options: argparse.Namespace) -> int:
    there = slurm_cluster.found_in(options.folder)
    if there is None:
        msg = f"found no cluster in {options.folder}, expected one that is up; type: make cluster-up"
        raise ClusterError(msg)
    there.set_firewall(_firewall(options))
    return 0


def _firewall(options: argparse.Namespace) -> Firewall:
    return Firewall(options.outside, tuple(options.open))


if __name__ == "__main__":
    sys.exit(main())

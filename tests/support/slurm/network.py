"""The bridge between the login side, which is this machine itself, and the compute nodes' network namespaces."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from support.slurm.namespaces import call

BRIDGE = "rfslurm0"
TABLE = "runferry_slurm"
# From the block that RFC 2544 sets aside for measurements inside one laboratory: nobody's machines are there.
SUBNET = "198.18.47"
LOGIN = f"{SUBNET}.1"

SLURMCTLD, SLURMD, SLURMDBD = 6817, 6818, 6819
SRUN = (61001, 61999)

# How a node fails to reach what it may not: clients behave differently.
WAYS = {
    "unreachable": "reject with icmpx type no-route",  # at once: "network is unreachable"
    "reject": "meta l4proto tcp reject with tcp reset",  # at once: "connection refused"
    "drop": "drop",  # never an answer: until the client's own time-out
}


def node_address(index: int) -> str:
    """Give the address of the index-th node, from 0."""
    return f"{SUBNET}.{index + 11}"


@dataclass(frozen=True)
class Firewall:
    """What a compute node reaches besides Slurm's own ports of the login side.

    Attributes
    ----------
    outside
        How everything else fails: a key of `WAYS`.
    open_ports
        TCP ports of the login side that the nodes reach, as a site's proxy lets some servers through.
    ports
        TCP port of the login side -> how it alone fails: a key of `WAYS`.
    """

    outside: str = "unreachable"
    open_ports: tuple[int, ...] = ()
    ports: dict[int, str] = field(default_factory=dict)

    def rules(self) -> str:
        """Write nftables rules that replace those before them in one step."""
        allowed = [*map(str, (SLURMCTLD, SLURMDBD)), f"{SRUN[0]}-{SRUN[1]}", *map(str, self.open_ports)]
        alone = "\n".join(f"    tcp dport {port} {WAYS[way]}" for port, way in self.ports.items())
        return f"""
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  # What goes through this machine to anywhere else; before routing, whether or not the machine forwards.
  chain outside {{
    type filter hook prerouting priority raw;
    iifname != "{BRIDGE}" accept
    ip daddr {SUBNET}.0/24 accept
    {WAYS[self.outside]}
    drop
  }}
  # What goes to this machine: without it, a server that listens everywhere is reached at the bridge's address.
  chain login {{
    type filter hook input priority filter;
    iifname != "{BRIDGE}" accept
    ct state established,related accept
    icmp type echo-request accept
{alone}
    tcp dport {{ {", ".join(allowed)} }} accept
    {WAYS[self.outside]}
    drop
  }}
}}
"""

    def apply(self, inside: list[list[str]]) -> None:
        """Put it into force; `inside` holds, for each node, the command that runs another one in the node."""
        call("nft", "-f", "-", said=self.rules())
        for node in inside:
            # "unreachable" is as at the sites: no route at all. To be refused or ignored, there must be one.
            route = ["ip", "route", "replace", "default", "via", LOGIN]
            if self.outside == "unreachable":
                route = ["ip", "route", "flush", "default"]
            call(*node, *route)


def add_bridge() -> None:
    """Make the bridge and give the login side its address there."""
    call("ip", "link", "add", BRIDGE, "type", "bridge")
    _no_ipv6(BRIDGE)
    call("ip", "address", "add", f"{LOGIN}/24", "dev", BRIDGE)
    call("ip", "link", "set", BRIDGE, "up")


def connect_node(index: int, process: int, inside: list[str]) -> None:
    """Plug a network namespace into the bridge.

    Parameters
    ----------
    index
        The node's number, from 0.
    process
        Id of a process in the namespace.
    inside
        The command that runs another one in the node.
    """
    call("ip", "link", "add", link(index), "type", "veth", "peer", "name", "eth0", "netns", str(process))
    _no_ipv6(link(index))
    call("ip", "link", "set", link(index), "master", BRIDGE, "up")
    # A link-local IPv6 address would be a second way to the login side.
    script = f"""
        for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $file ] || echo 1 >$file; done
        ip link set lo up && ip address add {node_address(index)}/24 dev eth0 && ip link set eth0 up"""
    call(*inside, "sh", "-c", script)


def link(index: int) -> str:
    """Name the login side's end of a node's cable."""
    return f"rfslurm-{index + 1}"


def remove(indices: range) -> None:
    """Take away the bridge, the cables and the rules; what is not there is no error."""
    for name in [BRIDGE, *map(link, indices)]:
        call("ip", "link", "delete", name, check=False)
    call("nft", "delete", "table", "inet", TABLE, check=False)


def listening(port: int) -> bool:
    """Say whether something on this machine listens on a TCP port."""
    return bool(call("ss", "-Htln", f"sport = :{port}").strip())


def _no_ipv6(device: str) -> None:
    # The file is not there where the kernel has no IPv6, which is as good.
    with contextlib.suppress(FileNotFoundError):
        Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("1")

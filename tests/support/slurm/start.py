"""How the test cluster is started and stopped; where either ends half-way, the other knows how to go on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from support.slurm import cgroups, configuration, network
from support.slurm.namespaces import (
    LOGIN_SIDE,
    ClusterError,
    call,
    close_namespaces,
    inside,
    keepers,
    open_namespaces,
    start_daemon,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.slurm.cluster import Cluster

SLURM_CONF = Path("/etc/slurm/slurm.conf")
# A socket's name may have 107 characters.
LONGEST_FOLDER = 60
PROGRAMS = ["slurmctld", "slurmd", "slurmdbd", "sbatch", "sacctmgr", "munged", "mariadbd", "nft", "ip", "pkill"]


def missing() -> str | None:
    """Say in one line why this machine cannot have the cluster; None if it can."""
    if os.geteuid() != 0:
        return "found a user who is not root, expected root: the cluster needs namespaces and daemons"
    if not Path("/etc/debian_version").exists():
        return "found no /etc/debian_version, expected Debian: the cluster is made of Debian's packages"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"found no {', '.join(absent)}, expected Debian's Slurm, munge, MariaDB and nftables; type: make system"
    probe = ["unshare", "--net", "--uts", "--mount", "--mount-proc", "--pid", "--fork", "nft", "list", "ruleset"]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    if tried.returncode:
        said = tried.stderr.strip().splitlines()
        return (
            f"found a root who may not make namespaces, expected one who may: {said[0] if said else 'no reason given'}"
        )
    return None


def start(cluster: Cluster) -> None:
    """Start a cluster; if that fails or is interrupted, nothing stays.

    Raises
    ------
    ClusterError
        The machine cannot have it, another Slurm is configured here, or a daemon did not come up.
    """
    if reason := missing():
        raise ClusterError(reason)
    _refuse_foreign(cluster)
    # What a killed start may have left.
    stop(cluster)
    try:
        _start(cluster)
    except BaseException:
        if keep := os.environ.get("RUNFERRY_CLUSTER_LOGS"):
            shutil.copytree(cluster.folder / "log", keep, dirs_exist_ok=True)
        stop(cluster)
        raise


def stop(cluster: Cluster) -> None:
    """Stop a cluster and remove everything that it made; what is not there is no error."""
    close_namespaces(cluster.folder)
    network.remove(range(len(cluster.shape)))
    if _ours(cluster.folder):
        SLURM_CONF.unlink()
    wait_for(lambda: cgroups.remove_groups(cluster.folder, cluster.nodes), "the end of the nodes' control groups")
    cgroups.unmount(cluster.folder)
    if (cluster.folder / "made-localscratch").exists():
        with contextlib.suppress(OSError):
            configuration.LOCALSCRATCH.rmdir()
    shutil.rmtree(cluster.folder, ignore_errors=True)


def _refuse_foreign(cluster: Cluster) -> None:
    if len(str(cluster.folder)) > LONGEST_FOLDER:
        msg = (
            f"found {cluster.folder}, expected a folder name of {LONGEST_FOLDER} characters at most: sockets lie there"
        )
        raise ClusterError(msg)
    if os.path.lexists(SLURM_CONF) and not _ours(cluster.folder):
        msg = f"found a {SLURM_CONF} of another Slurm, expected none; use another machine, or move it away"
        raise ClusterError(msg)
    if keepers(cluster.folder):
        return
    for port in (network.SLURMCTLD, network.SLURMDBD, configuration.MARIADB):
        if network.listening(port):
            msg = f"found that something listens on TCP port {port}, expected it free for the cluster; stop that first"
            raise ClusterError(msg)


def _ours(folder: Path) -> bool:
    return SLURM_CONF.is_symlink() and SLURM_CONF.readlink() == folder / "etc" / "slurm.conf"


def _start(cluster: Cluster) -> None:
    folder = cluster.folder
    folder.mkdir(parents=True)
    # First of all, so that whoever stops it after a crash knows what it was.
    (folder / "shape").write_text("\n".join(map(str, cluster.shape)) + "\n")
    # Locks: who uses the cluster at all, and who needs it as it was started (see conftest.py).
    (folder / "users").touch()
    (folder / "turns").touch()
    configuration.write(folder, cluster.shape, cluster.site, cgroups.mount(folder))
    if not configuration.LOCALSCRATCH.exists():
        (folder / "made-localscratch").touch()
        configuration.LOCALSCRATCH.mkdir()
    SLURM_CONF.symlink_to(folder / "etc" / "slurm.conf")
    login = open_namespaces(folder, LOGIN_SIDE)
    database = _install_database(folder, login)
    _open_nodes(cluster)
    _start_accounting(cluster, login, database)
    cluster.start_slurmctld()
    for node in cluster.nodes:
        cluster.start_slurmd(node)
    states = cluster.states
    _wait(folder, "every node idle", lambda: len(states()) == len(cluster.nodes) and {*states().values()} == {"idle"})
    (folder / "ready").touch()


def _install_database(folder: Path, login: int) -> subprocess.Popen[bytes]:
    volatile, log, munge = (folder / name for name in ("volatile", "log", "munge"))
    # In memory: the database's first start alone would take seconds of writing to a disk.
    call(*inside(login), "mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", volatile)
    call(*inside(login), "mkdir", volatile / "slurmctld")
    files = [f"--{name}-file={munge / name}" for name in ("key", "pid", "seed")]
    files += [f"--log-file={log / 'munged.log'}", f"--socket={munge / 'socket'}"]
    # --force: munged would rather not run as root.
    start_daemon(login, log / "munged.out", "munged", "--foreground", "--force", *files)
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={volatile / 'database'}", "--user=root"]
    options = ["--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=8M"]
    with (log / "mariadb-install.out").open("wb") as output:
        return subprocess.Popen([*inside(login), *install, *options], stdout=output, stderr=output, cwd="/")


def _open_nodes(cluster: Cluster) -> None:
    folder = cluster.folder
    network.add_bridge()
    for index, node in enumerate(cluster.nodes):
        process = open_namespaces(folder, node, "net", "uts")
        (folder / "disk" / node).mkdir(parents=True)
        (folder / "spool" / node).mkdir()
        script = f"""set -e
            hostname {node}
            mount --bind {folder}/disk/{node} {configuration.LOCALSCRATCH}
            for file in hosts resolv.conf; do
              [ ! -e /etc/$file ] || mount --bind {folder}/etc/$file /etc/$file
            done"""
        call(*inside(process), "sh", "-c", script)
        network.connect_node(index, process, inside(process))
    cluster.set_firewall(cluster.firewall)


def _start_accounting(cluster: Cluster, login: int, database: subprocess.Popen[bytes]) -> None:
    folder = cluster.folder
    volatile, log, etc = (folder / name for name in ("volatile", "log", "etc"))
    if database.wait():
        msg = f"found no database, expected mariadb-install-db to make it: {_last_line(log / 'mariadb-install.out')}"
        raise ClusterError(msg)
    mariadb = ["mariadbd", "--no-defaults", "--user=root", f"--datadir={volatile / 'database'}"]
    mariadb += [f"--socket={volatile / 'mariadb.socket'}", f"--port={configuration.MARIADB}"]
    mariadb += ["--bind-address=127.0.0.1", "--skip-name-resolve", f"--init-file={etc / 'database.sql'}"]
    mariadb += ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M"]
    start_daemon(login, log / "mariadb.out", *mariadb)
    _wait(folder, "MariaDB", lambda: network.listening(configuration.MARIADB))
    cluster.start_slurmdbd()
    _wait(folder, "slurmdbd", lambda: network.listening(network.SLURMDBD))
    manage = ["sacctmgr", "--immediate", "--quiet"]
    call(*manage, "add", "cluster", "runferry")
    for name, limit in cluster.site.qos.items():
        # Else a job over the limit waits for ever.
        call(*manage, "add", "qos", name, f"maxwall={limit}", "flags=DenyOnLimit")
    accounts = cluster.site.accounts
    call(*manage, "add", "account", ",".join(accounts), "cluster=runferry")
    call(*manage, "add", "user", "root", f"account={','.join(accounts)}", f"defaultaccount={next(iter(accounts))}")
    for account, allowed in accounts.items():
        if allowed:
            where = ["where", "name=root", f"account={account}"]
            call(*manage, "modify", "user", *where, "set", f"qos={','.join(allowed)}", f"defaultqos={allowed[0]}")
    # slurmdbd starts with root in an account of the same name, which no site gives anybody.
    call(*manage, "delete", "user", "root", "account=root")


def _wait(folder: Path, what: str, look: Callable[[], object]) -> None:
    try:
        wait_for(look, what)
    except ClusterError as error:
        logs = sorted(log for log in (folder / "log").iterdir() if log.stat().st_size)
        msg = f"{error} ({'; '.join(f'{log.name}: {_last_line(log)}' for log in logs)})"
        raise ClusterError(msg) from None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing"

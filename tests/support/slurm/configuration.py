"""The files that the test cluster's daemons read."""

from __future__ import annotations

import os
import secrets
import socket
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from support.slurm import network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.slurm.shape import Node
    from support.slurm.sites import Site

MARIADB = 26820
DATABASE_USER = "slurm"
LOCALSCRATCH = Path("/localscratch")

PROLOG = f"""#!/bin/sh
# Runs on the node as root before a job: the job's own folder on the node's disk.
folder={LOCALSCRATCH}/$SLURM_JOB_USER.$SLURM_JOB_ID.0
mkdir -p "$folder" && chmod 700 "$folder" && chown "$SLURM_JOB_USER" "$folder"
"""

# What a TaskProlog prints as `export` is in the environment of the task.
TASK_PROLOG = f"""#!/bin/sh
echo "export SLURM_TMPDIR={LOCALSCRATCH}/$SLURM_JOB_USER.$SLURM_JOB_ID.0"
"""

EPILOG = f"""#!/bin/sh
rm -rf "{LOCALSCRATCH}/$SLURM_JOB_USER.$SLURM_JOB_ID.0"
"""


def write(folder: Path, nodes: Sequence[Node], site: Site, cgroups: Path | None) -> None:
    """Write every file under `folder`, and make the device files of the fake GPUs.

    `cgroups` is where control groups are mounted (see `cgroups`), None where there are none.
    """
    for name, mode in {"etc": 0o755, "log": 0o755, "run": 0o755, "spool": 0o755, "dev": 0o755, "munge": 0o755}.items():
        (folder / name).mkdir(mode=mode, parents=True)
    # What the daemons on the login side write often; a tmpfs, in their own mount namespace only.
    (folder / "volatile").mkdir(mode=0o700)
    password = secrets.token_hex(16)
    etc = folder / "etc"
    _write(etc / "slurm.conf", slurm_conf(folder, nodes, site, cgroups=cgroups is not None))
    _write(etc / "slurmdbd.conf", _slurmdbd_conf(folder, password), 0o600)
    _write(etc / "gres.conf", _gres_conf(folder, nodes))
    # Slurm would find out the version by what is mounted on /sys/fs/cgroup.
    mounted = f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={cgroups}\n" if cgroups else ""
    _write(etc / "cgroup.conf", f"{mounted}ConstrainRAMSpace=yes\nConstrainSwapSpace=no\n")
    _write(etc / "prolog", PROLOG, 0o755)
    _write(etc / "task_prolog", TASK_PROLOG, 0o755)
    _write(etc / "epilog", EPILOG, 0o755)
    _write(etc / "hosts", _hosts(nodes))
    # No name server: the C library then asks the node itself, where none listens.
    _write(etc / "resolv.conf", "")
    _write(etc / "database.sql", _database_sql(password), 0o600)
    _write(folder / "munge" / "key", secrets.token_hex(64), 0o600)


def slurm_conf(folder: Path, nodes: Sequence[Node], site: Site, *, cgroups: bool) -> str:
    """Write slurm.conf."""
    # Without cgroups, processes are followed by their group: linuxproc loses those whose parent has ended.
    track, task = ("cgroup", "task/cgroup") if cgroups else ("pgid", "task/none")
    lines = f"""
        ClusterName=runferry
        SlurmctldHost={login_name()}({network.LOGIN})
        SlurmctldPort={network.SLURMCTLD}
        SlurmdPort={network.SLURMD}
        SrunPortRange={network.SRUN[0]}-{network.SRUN[1]}
        AuthType=auth/munge
        # A job that is requeued waits for its old credentials to end: two minutes, unless these end sooner.
        AuthInfo=socket={folder}/munge/socket,cred_expire=20
        SlurmUser=root
        SlurmdUser=root
        StateSaveLocation={folder}/volatile/slurmctld
        SlurmdSpoolDir={folder}/spool/%n
        SlurmctldPidFile={folder}/run/slurmctld.pid
        SlurmdPidFile={folder}/run/slurmd-%n.pid
        SlurmctldLogFile={folder}/log/slurmctld.log
        SlurmdLogFile={folder}/log/slurmd-%n.log
        ProctrackType=proctrack/{track}
        # The other kind needs one more hierarchy of control groups.
        JobAcctGatherType=jobacct_gather/linux
        TaskPlugin={task}
        SelectType=select/cons_tres
        SelectTypeParameters=CR_Core_Memory
        GresTypes=gpu
        SlurmdParameters=config_overrides
        DefMemPerCPU=256
        # Time enough for a busy machine to answer.
        MessageTimeout=30
        TCPTimeout=10
        SlurmdTimeout=40
        ReturnToService=2
        # Often, so that a test need not wait for it: microseconds, and seconds.
        SchedulerParameters=sched_min_interval=100000,bf_interval=5
        MailProg=/bin/true
        EnforcePartLimits=ALL
        MinJobAge=300
        # From SIGTERM to SIGKILL, as at the sites: Slurm's default.
        KillWait=30
        PreemptType=preempt/partition_prio
        PreemptMode=REQUEUE
        MpiDefault=none
        Prolog={folder}/etc/prolog
        TaskProlog={folder}/etc/task_prolog
        Epilog={folder}/etc/epilog
        AccountingStorageType=accounting_storage/slurmdbd
        AccountingStorageHost={network.LOGIN}
        AccountingStoragePort={network.SLURMDBD}
        # The socket's name, under the password's key: AuthInfo is not used towards slurmdbd.
        AccountingStoragePass={folder}/munge/socket
        AccountingStorageEnforce=associations,limits{",qos" if site.qos else ""}
        AccountingStorageTRES=gres/gpu
        AccountingStoreFlags=job_comment
    """
    text = "\n".join(line.strip() for line in lines.strip().splitlines()) + "\n"
    for index, node in enumerate(nodes):
        gpus = ",".join(":".join(filter(None, ("gpu", model, str(number)))) for model, number in node.gpus.items())
        text += (
            f"NodeName={node.name} NodeAddr={network.node_address(index)} CPUs={node.cpus} Sockets=1"
            f" CoresPerSocket={node.cpus} ThreadsPerCore=1 RealMemory={node.memory} Weight={node.weight}"
            f"{f' Gres={gpus}' if gpus else ''}{f' Feature={node.features}' if node.features else ''} State=UNKNOWN\n"
        )
    names = ",".join(node.name for node in nodes)
    for name, partition in site.partitions.items():
        default = "YES" if name == site.default_partition else "NO"
        text += f"PartitionName={name} Nodes={','.join(partition.nodes) or names} Default={default}"
        text += f" MaxTime={partition.limit} DefaultTime={min('01:00:00', partition.limit)} {partition.options}\n"
    return text


def login_name() -> str:
    """Give the host name that slurmctld looks for in its configuration: the part before the first dot."""
    return socket.gethostname().partition(".")[0]


def _slurmdbd_conf(folder: Path, password: str) -> str:
    return f"""AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost={login_name()}
DbdAddr={network.LOGIN}
DbdPort={network.SLURMDBD}
SlurmUser=root
PidFile={folder}/run/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={MARIADB}
StorageLoc=slurm
StorageUser={DATABASE_USER}
StoragePass={password}
"""


def _gres_conf(folder: Path, nodes: Sequence[Node]) -> str:
    text = ""
    for node in nodes:
        numbers = count()
        for model, amount in node.gpus.items():
            for number in (next(numbers) for _ in range(amount)):
                device = folder / "dev" / f"nvidia{number}"
                if not device.exists():
                    # The null device: Slurm wants a device file, and nothing here calls it.
                    os.mknod(device, 0o020666, os.makedev(1, 3))
                kind = f" Type={model}" if model else ""
                text += f"NodeName={node.name} Name=gpu{kind} File={device}\n"
    return text


def _hosts(nodes: Sequence[Node]) -> str:
    lines = ["127.0.0.1 localhost", f"{network.LOGIN} {login_name()}"]
    lines += [f"{network.node_address(index)} {node.name}" for index, node in enumerate(nodes)]
    return "\n".join(lines) + "\n"


def _database_sql(password: str) -> str:
    # One statement a line: that is how MariaDB reads the file.
    return f"""CREATE DATABASE slurm;
CREATE USER {DATABASE_USER}@127.0.0.1 IDENTIFIED BY '{password}';
GRANT ALL ON slurm.* TO {DATABASE_USER}@127.0.0.1;
"""


def _write(file: Path, text: str, mode: int = 0o644) -> None:
    file.touch(mode=mode)
    file.write_text(text)
    file.chmod(mode)

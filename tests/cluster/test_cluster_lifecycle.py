"""`bring_up.py up` and `down` on a login side of their own: a second cluster that the first does not notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.slurm.cgroups import usable
from support.slurm.machine import BRING_UP
from support.slurm.namespaces import wait_for


def test_up_and_down_may_both_be_said_twice_and_leave_nothing_behind(machine):
    before = machine.state()
    up = machine.bring_up(*machine.up)
    assert up.returncode == 0, up.stdout
    assert "make cluster-down" in up.stdout
    assert machine.run("srun --account=def-test_gpu --gpus=a100:1 hostname") == f"{machine.nodes[0]}\n"
    again = machine.bring_up(*machine.up)
    assert (again.returncode, again.stdout) == (0, f"is up already: {', '.join(machine.nodes)}\n")
    other = machine.bring_up("up", "--node=x3")
    assert other.returncode == 1
    assert f"cluster of other nodes up ({', '.join(machine.nodes)}); type: make cluster-down" in other.stdout
    assert machine.state() != before
    down = machine.bring_up("down")
    assert (down.returncode, down.stdout) == (0, "down\n")
    assert machine.state() == before
    again = machine.bring_up("down")
    assert (again.returncode, again.stdout) == (0, "was not up\n")


def test_where_no_control_groups_are_mounted_the_cluster_mounts_its_own(machine):
    if not usable():
        pytest.skip("no cgroups of version 1 that root may mount here")
    machine.run("umount --recursive /sys/fs/cgroup")
    before = machine.state()
    up = machine.bring_up(*machine.up)
    assert up.returncode == 0, up.stdout
    assert "tracked by cgroup" in up.stdout
    tracked = "srun --account=def-test_cpu --mem=50M cat /proc/self/cgroup"
    groups = machine.run(tracked)
    assert f"freezer:/slurm_{machine.nodes[0]}/" in groups
    assert f"memory:/slurm_{machine.nodes[0]}/" in groups
    assert machine.bring_up("down").returncode == 0
    assert machine.state() == before


# As far as the cluster has come: a file of its folder that says so.
STAGES = ["etc/slurm.conf", "log/mariadb-install.out", "disk", "log/slurmdbd.log", "log/slurmctld.log"]


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_takes_away_what_was_begun(machine, stage):
    before = machine.state()
    with machine.begun(*machine.up) as up:
        wait_for((machine.folder / stage).exists, stage)
        up.send_signal(signal.SIGINT)
        output, _ = up.communicate(timeout=60)
    assert up.returncode == 130, output
    assert output.splitlines()[-1] == "interrupted; nothing was left behind"
    assert machine.state() == before


@pytest.mark.parametrize("stage", [STAGES[1], STAGES[-1]])
def test_down_takes_away_what_a_killed_up_has_left(machine, stage):
    before = machine.state()
    with machine.begun(*machine.up) as up:
        wait_for((machine.folder / stage).exists, stage)
        up.kill()
    assert machine.state() != before
    assert machine.bring_up("down").returncode == 0
    assert machine.state() == before


def test_up_starts_anew_where_a_killed_up_has_left_something(machine):
    with machine.begun(*machine.up) as up:
        wait_for((machine.folder / STAGES[2]).exists, STAGES[2])
        up.kill()
    again = machine.bring_up(*machine.up)
    assert again.returncode == 0, again.stdout
    assert again.stdout.startswith("up in ")


@pytest.mark.parametrize("program", ["/usr/bin/mariadb-install-db", "/usr/bin/sacctmgr"])
def test_a_start_that_fails_says_why_and_leaves_nothing_behind(machine, program):
    machine.run(f"mount --bind /bin/false {program}")
    before = machine.state()
    up = machine.bring_up(*machine.up)
    assert up.returncode == 1
    assert Path(program).name in up.stdout.splitlines()[-1]
    assert "Traceback" not in up.stdout
    assert machine.state() == before


@pytest.mark.parametrize("make", ["echo ClusterName=other >{}", "ln -s /nowhere/slurm.conf {}"])
def test_another_slurm_is_left_alone(machine, make):
    machine.run(make.format("/etc/slurm/slurm.conf"))
    before = machine.state()
    up = machine.bring_up(*machine.up)
    assert up.returncode == 1
    assert (
        up.stdout
        == "found a /etc/slurm/slurm.conf of another Slurm, expected none; use another machine, or move it away\n"
    )
    assert machine.bring_up("down").returncode == 0
    assert machine.state() == before


def test_a_user_who_is_not_root_is_told_so():
    refused = subprocess.run(
        ["setpriv", "--reuid=nobody", "--clear-groups", sys.executable, BRING_UP, "up"],
        capture_output=True,
        text=True,
        check=False,
    )
    if refused.returncode == 126 or os.geteuid() != 0:
        pytest.skip("nobody may not run this Python, or the user is not root already")
    assert refused.stderr.startswith("found a user who is not root, expected root")

"""What the test cluster is: what holds at the sites holds here, so that other tests may build on it."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socket
import sys
import threading
import urllib.request

import pytest

from support.slurm.namespaces import ClusterError, call, wait_for
from support.slurm.network import Firewall

# Set aside for documentation (RFC 5737): nobody is there, and nothing would be sent to anybody if a node could send.
ELSEWHERE = ["192.0.2.1", "198.51.100.1", "203.0.113.1"]

# Tries to connect and prints, for each address, what came of it.
REACH = """
import json, socket, sys

def reach(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror
    return "reached"

print(json.dumps({address: reach(address) for address in sys.argv[1:]}))
"""


def job_output(cluster, folder, *arguments, script):
    """Run a job to its end and return what it printed."""
    file = folder / "job.sh"
    file.write_text(f"#!/bin/sh\n{script}\n")
    job = cluster.submit("--account=def-test_gpu", "--mem=200M", "--output=%j.out", *arguments, file, cwd=folder)
    # Other tests may have the GPUs for a while.
    state = cluster.wait_for_job(job, seconds=200)
    output = (folder / f"{job}.out").read_text()
    assert state == "COMPLETED", output
    return output.strip()


@pytest.mark.parametrize("node", ["c1", "c2", "c3"])
def test_a_job_is_on_a_host_of_its_own_with_a_folder_that_goes_with_it(cluster, tmp_path, node):
    script = 'hostname; echo "$SLURM_TMPDIR"; touch "$SLURM_TMPDIR/file" && ls "$SLURM_TMPDIR"'
    host, folder, listed = job_output(cluster, tmp_path, f"--nodelist={node}", script=script).splitlines()
    assert host == node != socket.gethostname()
    assert re.fullmatch(r"/localscratch/root\.\d+\.0", folder)
    assert listed == "file"
    assert folder.rpartition("/")[2] not in cluster.on_node(node, "ls", "/localscratch").split()


def test_a_nodes_disk_is_its_own(cluster, tmp_path):
    looks = [
        job_output(cluster, tmp_path, f"--nodelist={node}", script="ls -d /localscratch/*") for node in cluster.nodes
    ]
    # Each sees its own folder and not those of jobs elsewhere, which may run at the same time.
    assert len(set(looks)) == len(cluster.nodes)


def _needs_cgroups(cluster):
    if not cluster.tracks_by_cgroup:
        pytest.skip("no cgroups of version 1 that root may write here")


def test_sigterm_of_scancel_comes_to_the_task_of_a_step_and_not_to_its_children(cluster, tmp_path):
    _needs_cgroups(cluster)
    write = "trap 'echo heard >>$0' TERM; echo begun >>$0; for i in $(seq 600); do sleep 0.1; done"
    (tmp_path / "child.sh").write_text(write.replace("$0", f"{tmp_path}/child"))
    task = f"sh {tmp_path}/child.sh & {write.replace('$0', f'{tmp_path}/task')}"
    (tmp_path / "task.sh").write_text(task)
    script = f"--wrap=srun sh {tmp_path}/task.sh"
    job = cluster.submit("--account=def-test_cpu", "--mem=200M", "--output=/dev/null", script)
    wait_for(lambda: all((tmp_path / name).exists() for name in ("task", "child")), "the task and its child")
    cluster.run("scancel", job)
    assert cluster.wait_for_job(job) == "CANCELLED"
    assert (tmp_path / "task").read_text().split() == ["begun", "heard"]
    assert (tmp_path / "child").read_text().split() == ["begun"]


def test_what_a_job_takes_beyond_its_memory_ends_it(cluster):
    _needs_cgroups(cluster)
    wrap = f"--wrap={sys.executable} -c 'bytearray(200_000_000)'"
    job = cluster.submit("--account=def-test_cpu", "--mem=50M", "--output=/dev/null", wrap)
    assert cluster.wait_for_job(job) == "OUT_OF_MEMORY"


@pytest.mark.parametrize(
    ("request_line", "model", "count"),
    [
        ("--gpus=a100:1", "a100", 1),
        ("--gres=gpu:a100:2", "a100", 2),
        ("--gpus-per-node=h100:4", "h100", 4),
        ("--gpus=a100_1g.5gb:1", "a100_1g.5gb", 1),
        ("--gres=gpu:nvidia_h100_80gb_hbm3_1g.10gb:1", "nvidia_h100_80gb_hbm3_1g.10gb", 1),
    ],
)
def test_a_gpu_is_given_by_its_type(cluster, tmp_path, request_line, model, count):
    show = 'echo "$CUDA_VISIBLE_DEVICES"; scontrol --oneliner show job --details "$SLURM_JOB_ID"'
    visible, job = job_output(cluster, tmp_path, request_line, script=show).splitlines()
    assert re.search(r" GRES=(\S+?)\(IDX", job)[1] == f"gpu:{model}:{count}"
    # Numbers are in the order of the node's GPUs, as it was started with them.
    node = next(node for node in cluster.shape if node.name == re.search(r" Nodes=(\S+)", job)[1])
    models = [name for name, amount in node.gpus.items() for _ in range(amount)]
    assert [models[int(number)] for number in visible.split(",")] == [model] * count


def test_a_gpu_of_any_type(cluster, tmp_path):
    visible = job_output(cluster, tmp_path, "--gpus-per-node=1", script='echo "$CUDA_VISIBLE_DEVICES"')
    assert re.fullmatch(r"\d+", visible)


def test_two_gpus_may_be_on_two_nodes_unless_one_is_asked_for(cluster, tmp_path):
    # No node has five: a request that says nothing of nodes is spread.
    script = 'scontrol --oneliner show job "$SLURM_JOB_ID"'
    spread = job_output(cluster, tmp_path, "--gpus=a100:5", script=script)
    assert "NumNodes=2" in spread
    with pytest.raises(ClusterError, match="not available"):
        cluster.submit("--account=def-test_gpu", "--nodes=1", "--gpus=a100:5", "--wrap=true")


def test_jobs_at_the_same_time_have_different_gpus(cluster, tmp_path):
    script = f"""--wrap=echo "$CUDA_VISIBLE_DEVICES" >{tmp_path}/$SLURM_JOB_ID
        until [ -e {tmp_path}/end ]; do sleep 0.1; done"""
    arguments = ["--account=def-test_gpu", "--gpus=l40s:2", "--nodes=1", "--mem=100M", "--output=/dev/null"]
    jobs = [cluster.submit(*arguments, script) for _ in range(2)]
    try:
        wait_for(lambda: all((tmp_path / job).exists() and (tmp_path / job).read_text() for job in jobs), "both jobs")
        given = ",".join((tmp_path / job).read_text().strip() for job in jobs).split(",")
        assert len(set(given)) == 4
    finally:
        (tmp_path / "end").touch()
    assert {cluster.wait_for_job(job) for job in jobs} == {"COMPLETED"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--account=def-test"], "Invalid account"),
        (["--account=root"], "Invalid account"),
        (["--account=def-test_gpu", "--time=7-00:01"], "time limit"),
        (["--account=def-test_gpu", "--partition=base_b1", "--time=03:01:00"], "time limit"),
        (["--account=def-test_gpu", "--gpus=a100:5", "--nodes=1"], "not available"),
        (["--account=def-test_gpu", "--gpus=b200:1"], "not available"),
        (["--account=def-test_cpu", "--cpus-per-task=129"], "not available"),
        (["--account=def-test_cpu", "--mem=3000G"], "not available"),
    ],
)
def test_what_cannot_be_is_refused_at_submission(cluster, arguments, said):
    with pytest.raises(ClusterError, match=said):
        cluster.submit(*arguments, "--wrap=true", "--output=/dev/null")


def test_the_accounts_are_those_that_the_sites_know(cluster):
    listed = cluster.run("sacctmgr", "--noheader", "--parsable2", "show", "associations", "user=root", "format=account")
    assert sorted(listed.split()) == ["def-test_cpu", "def-test_gpu"]


def test_one_partition_is_the_default(cluster):
    listed = cluster.run("sinfo", "--noheader", "--format=%P %l %D").splitlines()
    assert [line for line in listed if "*" in line] == [f"standard* 7-00:00:00 {len(cluster.nodes)}"]
    assert f"base_b1 3:00:00 {len(cluster.nodes)}" in listed


def test_a_job_that_has_ended_is_in_the_accounting(cluster, tmp_path):
    job = cluster.submit("--account=def-test_cpu", "--output=/dev/null", "--wrap=exit 3", cwd=tmp_path)
    cluster.wait_for_job(job)
    ask = ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=account,state,exitcode"]
    ended = "def-test_cpu|FAILED|3:0\n"
    # The scheduler tells slurmdbd a little later than it tells us.
    wait_for(lambda: cluster.run(*ask) == ended, f"job {job} in sacct as {ended!r}", 30)


# The network: the login side reaches a server, a compute node does not.


@pytest.fixture
def server():
    """Run a server on the login side that listens on every address, and give its port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            self.send_error(204)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), Quiet) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening.server_port
        listening.shutdown()


def reached(cluster, folder, *addresses):
    """From inside a job: address -> what came of a connection."""
    (folder / "reach.py").write_text(REACH)
    script = f"{sys.executable} {folder}/reach.py {' '.join(addresses)}"
    return json.loads(job_output(cluster, folder, script=script))


def own_addresses():
    """Every address of this machine, the bridge's among them."""
    shown = json.loads(call("ip", "-4", "-json", "address"))
    return [address["local"] for device in shown for address in device["addr_info"]]


def test_a_job_reaches_nothing_that_the_login_side_reaches(cluster, tmp_path, server):
    addresses = [f"{address}:{server}" for address in own_addresses()]
    assert f"{cluster.address}:{server}" in addresses
    for address in addresses:
        assert urllib.request.urlopen(f"http://{address}/", timeout=5).status == 204
    seen = reached(cluster, tmp_path, *addresses, *(f"{address}:443" for address in ELSEWHERE))
    loopback = seen.pop(f"127.0.0.1:{server}")
    assert loopback == "Connection refused"  # its own, not the login side's
    assert set(seen.values()) == {"Network is unreachable"}


def test_a_node_has_no_way_out_and_no_name_server(cluster):
    for node in cluster.nodes:
        assert cluster.on_node(node, "ip", "route", "show", "default") == ""
        assert "inet6" not in cluster.on_node(node, "ip", "address", "show")
        assert cluster.on_node(node, "cat", "/etc/resolv.conf") == ""


def test_ports_can_be_opened_and_one_alone_be_closed(cluster_alone, tmp_path, server):
    address = f"{cluster_alone.address}:{server}"
    with cluster_alone.reaching(Firewall(open_ports=(server,))):
        assert reached(cluster_alone, tmp_path, address) == {address: "reached"}
        assert set(reached(cluster_alone, tmp_path, *(f"{one}:443" for one in ELSEWHERE)).values()) != {"reached"}
    with cluster_alone.reaching(Firewall(ports={server: "drop"})):
        assert reached(cluster_alone, tmp_path, address) == {address: "no answer"}
    assert reached(cluster_alone, tmp_path, address) == {address: "Network is unreachable"}


@pytest.mark.parametrize(("way", "outcome"), [("reject", "Connection refused"), ("drop", "no answer")])
def test_how_the_outside_fails_can_be_chosen(cluster_alone, tmp_path, server, way, outcome):
    addresses = [f"{cluster_alone.address}:{server}", f"{ELSEWHERE[0]}:443"]
    with cluster_alone.reaching(Firewall(outside=way)):
        assert set(reached(cluster_alone, tmp_path, *addresses).values()) == {outcome}
    assert cluster_alone.on_node("c1", "ip", "route", "show", "default") == ""


# Faults.


@contextlib.contextmanager
def undone(cluster, repair):
    try:
        yield
    finally:
        repair()
        wait_for(lambda: set(cluster.states().values()) <= {"idle", "mixed", "allocated"}, "the nodes to be back")


def test_a_slurmd_can_be_killed_and_its_job_goes_on(cluster_alone, tmp_path):
    job = cluster_alone.submit(
        "--account=def-test_cpu",
        "--nodelist=c2",
        "--output=/dev/null",
        f"--wrap=touch {tmp_path}/begun; until [ -e {tmp_path}/end ]; do sleep 0.1; done",
    )
    wait_for((tmp_path / "begun").exists, "the job's begin")
    with undone(cluster_alone, lambda: cluster_alone.start_slurmd("c2")):
        cluster_alone.kill_slurmd("c2")
        assert "slurmd" not in cluster_alone.programs("c2")
    (tmp_path / "end").touch()
    assert cluster_alone.wait_for_job(job) == "COMPLETED"


def test_the_scheduler_can_be_stopped_and_remembers_its_jobs(cluster_alone, tmp_path):
    job = cluster_alone.submit("--account=def-test_cpu", "--output=/dev/null", "--wrap=true", cwd=tmp_path)
    cluster_alone.wait_for_job(job)
    with undone(cluster_alone, cluster_alone.start_slurmctld):
        cluster_alone.stop_slurmctld()
        assert "DOWN" in cluster_alone.run("scontrol", "ping", check=False)
    assert cluster_alone.wait_for_job(job) == "COMPLETED"

"""`runferry doctor` on a real Slurm: nothing is submitted unasked, and one job tells what its node sees."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest

from support.paths import ROOT
from support.slurm.namespaces import wait_for

COMMAND = [sys.executable, "-m", "runferry", "doctor", "--profile", str(ROOT / "profiles" / "narval")]
# Set aside for documentation (RFC 5737): nobody is there.
PROBE = ["--probe", "--account", "def-test", "--reach", "http://192.0.2.1"]


@pytest.fixture
def variables(cluster, server):
    inherited = {name: value for name, value in cluster.environment.items() if not name.startswith("WANDB_")}
    return inherited | server.environment


def jobs_of(cluster, folder):
    """The ids of all jobs, ended ones too, that were submitted from a folder."""
    listed = cluster.run("squeue", "--noheader", "--states=all", "--format=%i %Z").splitlines()
    return [line.partition(" ")[0] for line in listed if line.partition(" ")[2].strip() == str(folder)]


def by_subject(text):
    return {(finding["about"], finding["what"]): finding for finding in json.loads(text)["findings"]}


def test_a_login_node_is_looked_at_and_nothing_is_submitted(cluster, variables, server, tmp_path):
    done = subprocess.run(
        [*COMMAND, "--json"], env=variables, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    # No site: there are no modules, and GPUs that Narval has not.
    assert done.returncode == 1, done.stderr
    found = by_subject(done.stdout)
    assert found["accounts", "yours"]["found"] == "def-test_cpu, def-test_gpu"
    assert found["Slurm", "default partition"]["found"] == "standard"
    assert found["Slurm", "MinJobAge"] | {"about": ""} == {
        "about": "",
        "what": "MinJobAge",
        "mark": "ok",
        "found": "300 sec",
        "expected": "",
        "todo": "",
    }
    for what in ("a job names no partition", "longest time limit of a partition", "GPU a100"):
        assert found["Slurm", what]["mark"] == "ok", what
    assert "h200" in found["Slurm", "other GPUs"]["found"]
    tests = {what: finding["mark"] for (about, what), finding in found.items() if about == "submission"}
    assert tests == dict.fromkeys(
        ["a CPU job of 5m", "a GPU job: --gpus=a100:1", "the longest job, 7d", "a longer job, 7d1m"], "ok"
    )
    assert "partition standard" in found["submission", "a CPU job of 5m"]["found"]
    assert found["W&B", "key"]["mark"] == "ok"
    assert jobs_of(cluster, tmp_path) == []
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(r"runferry-doctor-narval-\d{4}-\d\d-\d\d\.md", file.name)
    assert server.key not in done.stdout + done.stderr + file.read_text()


@pytest.mark.slow
def test_one_job_tells_what_a_compute_node_sees_and_hears(cluster, variables, server, tmp_path):
    # Slurm looks every 30 s whether it is time for a signal.
    command = [*COMMAND, *PROBE, "--probe-seconds", "60", "--output", "seen.json"]
    done = subprocess.run(
        command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 1, done.stderr
    (job,) = jobs_of(cluster, tmp_path)
    text = (tmp_path / "seen.json").read_text()
    found = by_subject(text)
    ran = re.fullmatch(rf"{job} ran on (c[123])", found["probe", "the job"]["found"])
    assert ran
    node = {what: finding for (about, what), finding in found.items() if about == "compute node"}
    assert node["host"]["found"].startswith(f"{ran[1]}, ")
    assert node["$SLURM_TMPDIR"]["found"].startswith(f"/localscratch/<user>.{job}.0: ")
    # This machine's disk is not a node's of Narval's.
    assert node["$SLURM_TMPDIR, its size"]["expected"] == "800G"
    assert node["$CUDA_VISIBLE_DEVICES"]["mark"] == "ok"
    assert node["the job's time limit"]["mark"] == "ok"
    assert node["shield against signals"]["mark"] == "ok"
    assert node["a lock (flock) that the login node holds"]["mark"] == "ok"
    network = {what: finding["found"] for (about, what), finding in found.items() if about == "compute node's network"}
    assert network["http://192.0.2.1"] == "Network is unreachable"
    assert network[server.url] == "Connection refused"
    warned = found["signals before the end", "SIGUSR1, asked for 298 s before (--signal=B:USR1@298)"]
    assert (warned["mark"], bool(re.fullmatch(r"came \d+ s before the time limit", warned["found"]))) == ("ok", True)
    assert server.key not in done.stdout + done.stderr + text
    # Nothing is left but the file.
    assert [file.name for file in tmp_path.iterdir()] == ["seen.json"]
    wait_for(lambda: "JobState=COMPLETED" in cluster.run("scontrol", "show", "job", job), "the job's end")


def test_ctrl_c_cancels_the_job_and_keeps_what_was_found(cluster, variables, tmp_path):
    doctor = subprocess.Popen(
        [*COMMAND, *PROBE], env=variables, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for line in doctor.stderr:
        if "is submitted" in line:
            break
    (job,) = jobs_of(cluster, tmp_path)
    doctor.send_signal(signal.SIGINT)
    assert doctor.wait(30) == 130
    wait_for(lambda: "JobState=CANCELLED" in cluster.run("scontrol", "show", "job", job), "the job to be cancelled")
    (file,) = tmp_path.iterdir()
    assert "without a job on a compute node" in file.read_text()


def test_a_job_that_waits_for_too_long_is_cancelled_and_that_is_a_line(cluster, variables, tmp_path):
    # It wants a node of its own, and there is something on each that has the GPU.
    variables |= {"SBATCH_EXCLUSIVE": "exclusive"}
    holding = ["--account=def-test_cpu", "--output=/dev/null", "--wrap=sleep 60"]
    jobs = [cluster.submit(*holding, f"--nodelist={node}", cwd="/tmp") for node in ("c1", "c2")]
    for job in jobs:
        listed = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
        wait_for(lambda listed=listed: "RUNNING" in cluster.run(*listed), f"job {job} to run")
    try:
        command = [*COMMAND, *PROBE, "--patience", "0.01", "--output", "seen.json"]
        done = subprocess.run(
            command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
    finally:
        cluster.run("scancel", *jobs)
    assert done.returncode == 1
    found = by_subject((tmp_path / "seen.json").read_text())["probe", "the job"]
    assert found["mark"] == "problem"
    assert re.fullmatch(r"the job was still pending \(\w+\) after 0 minutes; cancelled", found["found"])
    (job,) = jobs_of(cluster, tmp_path)
    wait_for(lambda: "JobState=CANCELLED" in cluster.run("scontrol", "show", "job", job), "the job to be cancelled")

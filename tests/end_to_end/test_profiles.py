"""A profile for each cluster: what it submits, what it refuses, and that it works where no Slurm is."""

from __future__ import annotations

import os
import re
import shlex
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from runferry.config.cluster import cluster_names, find_cluster
from support.projects import ROOT
from support.slurm_stub import make_stub, path_without_slurm

PROFILES = ROOT / "profiles"
GOLDEN = Path(__file__).parent / "golden"
CLUSTERS = [name for name in cluster_names() if name != "local"]

# One and two GPUs, unless the site gives other numbers only.
GPUS = {
    "tamia": ({"gpus": 4}, {"gpus": 8, "gpu": "h200"}),
    "trillium": ({"gpus": 1}, {"gpus": 4}),
    "juwels": ({"gpus": 4}, {"gpus": 4, "nodes": 2}),
    "marenostrum5": ({"gpus": 1, "qos": "acc_ehpc"}, {"gpus": 2, "qos": "acc_debug"}),
}
# What else a site's users ask for.
FURTHER = {
    "jeanzay": {"h100": {"gpus": 4, "gpu": "h100", "time": "21h"}, "a100": {"gpus": 1, "gpu_memory": "40G"}},
    "leonardo": {"long": {"gpus": 4, "time": "4d", "qos": "boost_qos_lprod"}, "tasks": {"gpus": 4, "tasks": 4}},
    "narval": {"any": {"gpus": 1, "gpu": "any"}, "by_memory": {"gpus": 1, "gpu_memory": "10G"}},
}
CPU = {"marenostrum5": {"qos": "gp_ehpc"}}

# One job each: how many runs, and what each asks for.
PACKS = {
    "tamia": {
        "four_h100": (4, {"gpus": 1}),
        "one_h100": (1, {"gpus": 1}),
        "two_h200": (2, {"gpus": 4, "gpu": "h200", "cores": 8, "memory": "100G"}),
        "short": (6, {"gpus": 2, "time": "20m"}),
        "two_nodes": (1, {"gpus": 4, "nodes": 2}),
    },
    "narval": {
        "short": (3, {"gpus": 1, "time": "20m"}),
        "two_nodes": (1, {"gpus": 4, "nodes": 2}),
        "two_nodes_cpu": (1, {"nodes": 2}),
    },
}


@pytest.fixture
def slurm(tmp_path):
    return make_stub(tmp_path / "slurm")


def _account(cluster: str) -> str:
    return next(iter(find_cluster(cluster).account_prefixes), "") + "lab"


def _snakemake(project, cluster: str, *arguments: str):
    command = project.snakemake_command(profile=False)
    return project.run(*command, "--profile", str(PROFILES / cluster), *arguments)


def _with_accounts(project, slurm, cluster: str) -> None:
    account = _account(cluster)
    site = find_cluster(cluster)
    # As Slurm's own names are there.
    endings = {site.account_suffix, *(gpu.account_suffix for gpu in site.gpus.values())} - {None}
    endings = endings or ({"_cpu", "_gpu"} if site.account_prefixes else {""})
    known = " ".join(f"{account}{ending}" for ending in sorted(endings))
    project.environment |= slurm.variables | {"STUB_ACCOUNTS": known, "SBATCH_ACCOUNT": account}


def _submissions(project, slurm, cluster: str, count: int, *arguments: str) -> list[tuple[float, list[str]]]:
    """Have the profile submit `count` jobs to the stub, then end Snakemake: none of its jobs will ever do anything."""
    _with_accounts(project, slurm, cluster)
    command = [*project.snakemake_command(profile=False), "--profile", str(PROFILES / cluster), "train_all"]
    log = project.folder / "snakemake.log"
    with log.open("w") as stream:
        controller = project.start([*command, *arguments], stream)
        try:
            deadline = time.monotonic() + 120
            while len(slurm.submissions) < count and controller.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            controller.kill()
            controller.wait()
    assert len(slurm.submissions) == count, log.read_text()
    return slurm.submissions


def _submit(project, slurm, cluster: str, *arguments: str):
    """Start what should be refused; if it is not, the stub's jobs fail and it ends soon."""
    _with_accounts(project, slurm, cluster)
    soon = ["--runferry-init-seconds-before-status-checks", "1", "--latency-wait", "1", "--no-hooks"]
    return _snakemake(project, cluster, "train_all", *soon, *arguments)


def _refusal(done) -> str:
    lines = [line for line in done.stderr.splitlines() if line.startswith("runferry:")]
    assert done.returncode != 0
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def _normalised(arguments: list[str], folder: Path) -> str:
    """Write a call of sbatch as a line, without what differs from one start to the next."""
    line = shlex.join(["sbatch", *(item for item in arguments if not item.startswith("--wrap="))])
    line = line.replace(str(folder), "FOLDER")
    line = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "START", line)
    return re.sub(r"([_-])[0-9a-v]{12}\b", r"\1RUN", line)


@pytest.mark.slow
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_what_sbatch_is_given(project, slurm, cluster):
    one, two = GPUS.get(cluster, ({"gpus": 1}, {"gpus": 2}))
    asked = {"one_gpu": one, "two_gpus": two, "cpu": CPU.get(cluster, {})} | FURTHER.get(cluster, {})
    if instance := next((gpu.name for gpu in find_cluster(cluster).gpus.values() if gpu.instance), None):
        asked["mig"] = {"gpus": 1, "gpu": instance}
    project.configure({name: {"command": ["true"], "resources": resources} for name, resources in asked.items()})
    _assert_golden(project, slurm, cluster, asked, GOLDEN / f"{cluster}.txt")


@pytest.mark.slow
@pytest.mark.parametrize("cluster", PACKS)
def test_what_sbatch_is_given_for_runs_that_share_a_job_and_runs_of_several_nodes(project, slurm, grid, cluster):
    asked = PACKS[cluster]
    project.configure({name: {"sweep": grid(count), "resources": given} for name, (count, given) in asked.items()})
    _assert_golden(project, slurm, cluster, asked, GOLDEN / f"{cluster}_packs.txt")


def _assert_golden(project, slurm, cluster: str, asked: dict, file: Path) -> None:
    calls = _submissions(project, slurm, cluster, len(asked), "--max-jobs-per-timespan", "1000/1s")
    lines = [_normalised(arguments, project.folder) for _, arguments in calls]
    text = "".join(
        f"{name}: {given}\n{next(line for line in lines if f'wildcards_{name}_RUN' in line)}\n"
        for name, given in asked.items()
    )
    if os.environ.get("RUNFERRY_WRITE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text(), "RUNFERRY_WRITE_GOLDEN=1 writes it anew"


@pytest.mark.slow
def test_what_sbatch_is_given_for_a_run_of_which_the_first_of_several_jobs_trains(project, slurm):
    any_of = [{"gpu": "a100"}, {"gpu": "a100_3g.20gb", "cores": 2}, {"time": "6h", "exclude": "n1"}]
    project.configure({"a": {"command": ["true"], "resources": {"gpus": 1, "time": "3h", "any_of": any_of}}})
    calls = [call for _, call in _submissions(project, slurm, "narval", 3)]
    given = [dict(pairwise(call)) for call in calls]
    assert [one["-t"] for one in given] == ["180", "180", "360"]
    assert [one["--mem"] for one in given] == ["126976", "63488", "126976"]
    options = [{word.partition("=")[0]: word.partition("=")[2] for word in call} for call in calls]
    assert [one["--gpus"] for one in options] == ["a100:1", "a100_3g.20gb:1", "a100:1"]
    assert [one.get("--exclude") for one in options] == [None, None, "n1"]
    for variable, said in (("OMP_NUM_THREADS", ["12", "2", "12"]), ("RUNFERRY_RACE", None)):
        found = [match[1] for call in calls if (match := re.search(rf"\b{variable}=(\w+)", call[-1] + call[-2]))]
        assert len(found) == 3
        assert found == (said or found[:1] * 3)


@pytest.mark.slow
def test_set_resources_drops_no_gpus_and_counts_for_packs_too(project, slurm, grid):
    own = {"qos": "high", "constraint": "icelake|milan", "reservation": "course", "exclude": "n[1-3]", "mail": "a@b.ca"}
    project.configure(
        {
            "alone": {"command": ["true"], "resources": {"gpus": 4, "time": "3h", "partition": "debug", **own}},
            "packed": {"sweep": grid(3), "resources": {"gpus": 1, "time": "20m"}},
        }
    )
    extra = "--set-resources=train:slurm_extra='--begin=now+1hour'"
    calls = [arguments for _, arguments in _submissions(project, slurm, "trillium", 2, extra)]
    alone, packed = sorted((shlex.join(one) for one in calls), key=lambda line: "train_pack" in line)
    assert "--gpus-per-node=4" in alone
    assert "--gpus-per-node=1" in packed
    assert "-p debug" in alone
    assert " -p " not in packed
    for option in (
        "-C 'icelake|milan'",
        "--qos=high",
        "--reservation=course",
        "'--exclude=n[1-3]'",
        "--mail-user=a@b.ca",
    ):
        assert option in alone
    assert all("--begin=now+1hour" in line for line in (alone, packed))


@pytest.mark.slow
def test_submissions_keep_their_distance(project, slurm, grid):
    project.configure({"a": {"sweep": grid(4)}})
    times = [moment for moment, _ in _submissions(project, slurm, "narval", 4)]
    assert min(later - earlier for earlier, later in pairwise(times)) >= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_dry_run_works_on_a_laptop(project, tmp_path, grid, cluster):
    project.environment["PATH"] = path_without_slurm(tmp_path / "path")
    project.configure({"a": {"sweep": grid(2), "resources": CPU.get(cluster, {})}})
    done = _snakemake(project, cluster, "-n", "--config", "account=def-x")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^train +2$", done.stdout + done.stderr, re.MULTILINE)
    said = [line for line in done.stderr.splitlines() if line.startswith("runferry:")]
    retired = find_cluster(cluster).retired
    if retired is None:
        assert said == []
    else:
        assert len(said) == 1
        assert retired.since in said[0]
        assert f"--profile profiles/{retired.successor}" in said[0]


def test_every_cluster_has_a_profile_and_every_profile_a_cluster():
    assert sorted(folder.name for folder in PROFILES.iterdir() if folder.is_dir()) == cluster_names()
    for name in cluster_names():
        assert yaml.safe_load((PROFILES / name / "cluster.yaml").read_text()) == {"cluster": name}


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_profile_says_what_the_facts_say(name):
    profile = yaml.safe_load((PROFILES / name / "config.yaml").read_text())
    jobs = find_cluster(name).jobs
    assert profile["executor"] == "runferry"
    assert profile["jobs"] == (jobs.cap or 100)
    # It would hold back what runs on the login node too; submissions are kept apart by themselves.
    assert "max-jobs-per-timespan" not in profile
    assert profile["runferry-init-seconds-before-status-checks"] >= 30
    assert profile["local-cores"] <= 2
    assert profile["keep-going"] is True
    assert profile["configfile"] == "cluster.yaml"
    # `cores` would cap a job's threads at those of the login node; a rule-less resource would hold for every rule.
    assert not {"cores", "default-resources", "set-resources", "config", "retries", "rerun-incomplete"} & set(profile)


REFUSED = [
    ("narval", {"time": "8d"}, "resources.time: found 8d, expected 7d at most, the longest CPU job of Narval"),
    ("tamia", {"time": "24h1m"}, "found 1d1m, expected 1d at most"),
    ("cedar", {"gpus": 1, "time": "8d"}, "expected 7d at most, the longest GPU job of Cedar"),
    ("trillium", {"time": "10m"}, "found 10m, expected 15m at least"),
    ("narval", {"gpus": 1, "gpu": "h100"}, "resources.gpu: found 'h100', expected one of a100, a100_1g.5gb"),
    ("narval", {"gpus": 1, "gpu": "a100_4g.20gb"}, "found 'a100_4g.20gb', expected one of a100, a100_1g.5gb"),
    ("narval", {"gpus": 2, "gpu": "a100_1g.5gb"}, "found 2 of a100_1g.5gb, expected 1: a job gets one MIG instance"),
    ("tamia", {"gpus": 3}, "found 3 of h100, expected 4 (gpu: h100) or 8 (gpu: h200): TamIA gives whole nodes"),
    ("trillium", {"gpus": 2}, "found 2 of h100, expected 1 or 4"),
    ("narval", {"gpus": 5}, "found 5 of a100, expected 1 to 4: a run's job has one node"),
    ("narval", {"gpu": "a100"}, "found a100 with gpus: 0, expected gpus: 1 or more"),
]


@pytest.mark.parametrize(("cluster", "resources", "said"), REFUSED)
def test_what_the_cluster_has_not_is_refused(project, slurm, cluster, resources, said):
    project.configure({"a": {"command": ["true"], "resources": resources}})
    retired = find_cluster(cluster).retired
    done = _submit(project, slurm, cluster)
    if retired:
        done.stderr = "\n".join(line for line in done.stderr.splitlines() if "is gone since" not in line)
    assert said in _refusal(done)
    assert slurm.submissions == []


@pytest.mark.parametrize(
    ("cluster", "wandb", "said"),
    [
        ("narval", {"mode": "online"}, "only members of Mila and other eligible groups"),
        ("narval", {"mode": "online"}, "if your group is eligible, set wandb.eligible: true"),
        ("trillium", {"mode": "online", "eligible": True}, "because its compute nodes have no internet"),
    ],
)
def test_online_is_refused_with_the_pages_reason(project, slurm, cluster, wandb, said):
    project.configure({"a": {"command": ["true"]}}, wandb={"project": "p", **wandb})
    assert said in _refusal(_submit(project, slurm, cluster))
    assert slurm.submissions == []


@pytest.mark.parametrize(
    ("cluster", "wandb"),
    [("fir", {"mode": "online"}), ("narval", {"mode": "online", "eligible": True}), ("trillium", {"mode": "dryrun"})],
)
def test_online_is_accepted_where_the_page_says_yes(project, slurm, cluster, wandb):
    project.configure({"a": {"command": ["true"]}}, wandb={"project": "p", **wandb})
    done = _submit(project, slurm, cluster, "-n")
    assert done.returncode == 0, done.stderr


def test_more_jobs_than_the_cap_are_refused(project, slurm, grid):
    project.configure({"a": {"sweep": grid(2)}})
    said = _refusal(_submit(project, slurm, "narval", "--jobs", "1001"))
    assert "--jobs: found 1001, expected 1000 at most" in said


def test_more_runs_than_the_cap_are_held_back_by_snakemake(project, slurm, grid):
    project.configure({"a": {"sweep": grid(1001)}})
    assert _submit(project, slurm, "narval", "-n", "--quiet").returncode == 0


@pytest.mark.parametrize(
    ("given", "known", "said"),
    [
        ("", "def-a_cpu def-a_gpu", "account: found none, expected one such as def-<pi>"),
        ("", "def-a_cpu def-a_gpu", "yours are def-a_cpu, def-a_gpu"),
        ("def-b", "def-a_cpu def-a_gpu", "found 'def-b'"),
        ("def-b", "def-a_cpu def-a_gpu", "yours are def-a_cpu, def-a_gpu"),
        ("def-a", "def-a_cpu", "does not let you use for a GPU job"),
    ],
)
def test_no_account_or_an_unknown_one_is_refused(project, slurm, given, known, said):
    project.configure({"a": {"command": ["true"], "resources": {"gpus": 1}}})
    project.environment |= slurm.variables | {"STUB_ACCOUNTS": known, "SBATCH_ACCOUNT": given}
    assert said in _refusal(_snakemake(project, "narval"))
    assert slurm.submissions == []
    assert slurm.times_asked_for_accounts == 1


@pytest.mark.parametrize("place", ["$HOME", "$PROJECT"])
def test_a_folder_that_the_site_refuses_is_refused(project, slurm, tmp_path, place):
    # /home itself, which Killarney refuses too, is not a test's to write to: test_admission has it.
    project.environment["PROJECT"] = str(tmp_path / "project")
    project.folder = tmp_path / {"$HOME": "home", "$PROJECT": "project"}[place] / "work"
    project.folder.mkdir(parents=True)
    project.configure({"a": {"command": ["true"]}})
    said = _refusal(_submit(project, slurm, "trillium"))
    assert f"found the working folder {project.folder} in {place}, expected one in $SCRATCH" in said
    assert slurm.submissions == []

"""What is refused before anything is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from runferry.config import site_limits
from runferry.config.cluster import find_cluster
from runferry.config.job_request import make_request
from runferry.errors import ConfigError
from support.errors.provoking import one


@pytest.mark.parametrize(
    ("cluster", "folder", "refused"),
    [
        ("killarney", "/home/ada/work", "/home"),
        ("killarney", "/home", "/home"),
        ("killarney", "/homes/ada", None),
        ("killarney", "/scratch/ada", None),
        ("killarney", "/project/ada", None),
        ("trillium", "/home/ada", "/home"),
        ("trillium", "/elsewhere/ada/work", "$HOME"),
        ("trillium", "/project/lab", "$PROJECT"),
        ("trillium", "/scratch/ada", None),
        ("narval", "/home/ada", None),
    ],
)
def test_folders_that_a_site_takes_no_jobs_from(monkeypatch, cluster, folder, refused):
    monkeypatch.setenv("HOME", "/elsewhere/ada")
    monkeypatch.setenv("PROJECT", "/project/lab")
    if refused is None:
        site_limits.check_folder(Path(folder), find_cluster(cluster))
        return
    with pytest.raises(ConfigError) as caught:
        site_limits.check_folder(Path(folder), find_cluster(cluster))
    assert f"found the working folder {folder} in {refused}, expected one in $SCRATCH" in str(caught.value)


def test_a_variable_that_is_not_set_closes_nothing(monkeypatch):
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.delenv("PROJECT", raising=False)
    site_limits.check_folder(Path("/project/lab"), find_cluster("trillium"))


def test_a_link_into_a_closed_folder_is_closed(tmp_path, monkeypatch):
    (tmp_path / "home" / "work").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "home" / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(ConfigError, match="HOME"):
        site_limits.check_folder(tmp_path / "link", find_cluster("trillium"))


@pytest.mark.parametrize(("jobs", "refused"), [(None, False), (1000, False), (1001, True), (2**63 - 1, True)])
def test_the_job_cap(jobs, refused):
    if not refused:
        site_limits.check_cap(jobs, find_cluster("narval"))
        return
    with pytest.raises(ConfigError, match=r"expected 1000 at most"):
        site_limits.check_cap(jobs, find_cluster("narval"))


def test_a_cap_that_is_not_established_refuses_nothing():
    site_limits.check_cap(10**5, find_cluster("vulcan"))
    site_limits.check_cap(10**5, find_cluster("local"))


@pytest.mark.parametrize(
    ("cluster", "mode", "record"),
    [
        ("narval", "offline", {}),
        ("narval", "online", {"metrics_only": True, "modules": ["httpproxy"]}),
        ("fir", "online", {}),
        ("local", "online", {}),
    ],
)
def test_a_run_is_told_what_online_takes_here(cluster, mode, record):
    given = {"project": "p", "mode": mode, "eligible": True}
    assert site_limits.wandb_of_runs(given, find_cluster(cluster)) == {"project": "p", "mode": mode, **record}


@pytest.mark.parametrize(
    ("cluster", "given", "refused"),
    [
        ("narval", {"cores": 500}, "cores: found 500 for a job, expected 64 at most, which the largest node of Narval"),
        ("narval", {"cores": 64, "memory": 4000 * 1024}, None),
        ("narval", {"memory": 5 * 1024**2}, "memory: found 5,120 GiB for a job, expected 4,000 GiB at most"),
        ("narval", {"gpus": 1, "cores": 49}, "cores: found 49 for a job, expected 48 at most, which a node of a100"),
        ("narval", {"gpus": 1, "memory": 499 * 1024}, "memory: found 499 GiB for a job, expected 498 GiB at most"),
        ("narval", {"gpus": 4, "cores": 48, "memory": 498 * 1024}, None),
        # Twelve at a time have as much each.
        ("narval", {"cores": 8, "side_by_side": 12}, "cores: found 96 for a job, expected 64 at most"),
        (
            "mila",
            {"gpus": 1, "gpu": "h100", "time": 240},
            "time: found 4h with h100, expected 3h at most, the longest h100",
        ),
        ("mila", {"gpus": 1, "gpu": "h100", "time": 180}, None),
        ("mila", {"gpus": 1, "gpu": "a100", "time": 240}, None),
        # Not established.
        ("vulcan", {"cores": 5000}, None),
        ("local", {"cores": 5000, "memory": 5 * 1024**2}, None),
    ],
)
def test_what_no_node_has_is_refused(cluster, given, refused):
    experiment, found = one(**{"time": 60, **given}), find_cluster(cluster)
    request = make_request(experiment, found)
    full = make_request(experiment, found, request.packing.capacity)
    if refused is None:
        site_limits.check_node(experiment, full, found)
        return
    with pytest.raises(ConfigError) as caught:
        site_limits.check_node(experiment, full, found)
    assert f"config: experiments.e.resources.{refused}" in str(caught.value)

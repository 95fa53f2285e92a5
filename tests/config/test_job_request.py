"""What a job asks for: the user's word, else the site's."""

from __future__ import annotations

from pathlib import Path

import pytest

from runferry.config.cluster import find_cluster
from runferry.config.experiment import Experiment
from runferry.config.job_request import make_request
from runferry.errors import ConfigError


def _request(cluster: str, gpus: int = 0, **more):
    given = {"cores": None, "gpu": None, "memory": None, "time": 60} | more
    experiment = Experiment(
        name="e", workdir=Path(), runs={}, gpus=gpus, tracker_settings={}, environment=None, **given
    )
    return make_request(experiment, find_cluster(cluster))


@pytest.mark.parametrize(
    ("cluster", "gpus", "gpu", "said"),
    [
        ("narval", 1, None, {"gpu": 1, "gpu_model": "a100", "tasks_per_gpu": 0}),
        ("narval", 1, "a100_3g.20gb", {"gpu": 1, "gpu_model": "a100_3g.20gb", "tasks_per_gpu": 0}),
        ("rorqual", 2, "H100", {"gpu": 2, "gpu_model": "h100", "tasks_per_gpu": 0}),
        ("fir", 1, "h100_2g.20gb", {"gpu": 1, "gpu_model": "nvidia_h100_80gb_hbm3_2g.20gb", "tasks_per_gpu": 0}),
        (
            "fir",
            1,
            "nvidia_h100_80gb_hbm3_2g.20gb",
            {"gpu": 1, "gpu_model": "nvidia_h100_80gb_hbm3_2g.20gb", "tasks_per_gpu": 0},
        ),
        ("nibi", 1, "nvidia_h100_80gb_hbm3_1g.10gb", {"gpu": 1, "gpu_model": "h100_1g.10gb", "tasks_per_gpu": 0}),
        ("nibi", 4, "mi300a", {"gpu": 4, "gpu_model": "mi300a", "tasks_per_gpu": 0}),
        ("tamia", 8, "h200", {"gpu": 8, "gpu_model": "h200", "tasks_per_gpu": 0}),
        ("killarney", 2, "h100", {"gres": "gpu:h100:2", "tasks_per_gpu": 0}),
        ("mila", 1, "a100l", {"gres": "gpu:a100l:1", "tasks_per_gpu": 0}),
        ("trillium", 4, None, {"slurm_extra": "--gpus-per-node=4"}),
        ("beluga", 1, None, {"slurm_extra": "--gpus-per-node=v100:1"}),
    ],
)
def test_gpus_are_asked_for_as_the_site_wants(cluster, gpus, gpu, said):
    resources = dict(_request(cluster, gpus, gpu=gpu).resources)
    for name in ("mem_mb", "runtime", "nodes"):
        resources.pop(name)
    assert resources == said


@pytest.mark.parametrize(
    ("cluster", "gpus", "given", "cores", "memory"),
    [
        ("narval", 0, {}, 2, 4 * 1024),
        ("narval", 1, {}, 12, 124 * 1024),
        ("narval", 2, {}, 24, 248 * 1024),
        ("narval", 2, {"cores": 6, "memory": 1024}, 6, 1024),
        ("tamia", 4, {}, 48, 512 * 1024),
        ("rorqual", 1, {"gpu": "h100_3g.40gb"}, 8, 62 * 1024),
        # What four V100s are recommended is more than their node has.
        ("beluga", 4, {}, 40, 186 * 1024),
        # Where nothing is established.
        ("mila", 1, {}, 12, 250 * 1024),
        # --mem is refused there.
        ("trillium", 1, {}, 24, None),
        ("trillium", 0, {"memory": 1024}, 2, None),
    ],
)
def test_cores_and_memory_are_the_users_else_the_sites(cluster, gpus, given, cores, memory):
    request = _request(cluster, gpus, **given)
    assert (request.cores, request.memory) == (cores, memory)
    # 0 is not sent by the plugin.
    assert request.resources["mem_mb"] == (memory or 0)


@pytest.mark.parametrize(("gpus", "given"), [(0, {"cores": 1}), (1, {"gpu": "a100_1g.5gb"})])
def test_wandbs_process_has_a_core_on_a_cluster(gpus, given):
    assert _request("narval", gpus, **given).cores == 2


def test_this_machine_is_asked_for_nothing_of_slurms():
    request = _request("local", 3, cores=1, gpu="whatever")
    assert request.cores == 1
    assert request.resources == {"mem_mb": 4096, "runtime": 60}
    assert request.paid_by(None).resources == request.resources


def test_the_account_is_a_resource():
    assert _request("narval").paid_by("def-a_cpu").resources["slurm_account"] == "def-a_cpu"


@pytest.mark.parametrize(
    ("cluster", "gpus", "gpu", "said"),
    [
        ("narval", 1, "a10", "found 'a10', expected one of a100, a100_1g.5gb, a100_2g.10gb, a100_3g.20gb on Narval"),
        ("narval", 1, "a100_4g.20gb", "did you mean a100_"),
        ("narval", 0, "a100", "resources.gpu: found a100 with gpus: 0"),
        ("tamia", 3, None, "found 3 of h100"),
        ("tamia", 8, None, "expected 4 (gpu: h100) or 8 (gpu: h200)"),
        ("nibi", 3, "mi300a", "expected 4 (gpu: mi300a): Nibi gives whole nodes of mi300a only"),
        ("nibi", 9, None, "expected 1 to 8"),
        ("trillium", 3, None, "expected 1 or 4: what Trillium takes"),
        ("rorqual", 2, "h100_1g.10gb", "expected 1: a job gets one MIG instance"),
        ("rorqual", 1, "nvidia_h100_80gb_hbm3_1g.10gb", "expected one of h100, h100_1g.10gb"),
    ],
)
def test_what_a_cluster_has_not_is_refused(cluster, gpus, gpu, said):
    with pytest.raises(ConfigError) as caught:
        _request(cluster, gpus, gpu=gpu)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cluster", "memory", "refused"),
    [("narval", 63, True), ("narval", 64, False), ("trillium", 20, False), ("local", 20, False)],
)
def test_memory_that_no_run_can_do_with_is_refused_where_slurm_is_told_of_it(cluster, memory, refused):
    if refused:
        with pytest.raises(ConfigError, match=r"resources\.memory: found 63M, expected 64M at least, "):
            _request(cluster, 0, memory=memory)
    else:
        _request(cluster, 0, memory=memory)

"""What a job asks for: the user's word, else the site's."""

from __future__ import annotations

from pathlib import Path

import pytest

from runferry.config.cluster import find_cluster
from runferry.config.experiment import Experiment
from runferry.config.job_request import make_request
from runferry.config.names import SLURM_OPTIONS
from runferry.errors import ConfigError


def _request(cluster: str, gpus: int = 0, **more):
    given = {"cores": None, "gpu": None, "memory": None, "time": 60} | more
    slurm = {key: given.pop(key) for key in SLURM_OPTIONS if key in given}
    experiment = Experiment(
        name="e", workdir=Path(), runs={}, gpus=gpus, tracker_settings={}, environment=None, slurm=slurm, **given
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
        ("narval", 2, "any", {"gpu": 2, "tasks_per_gpu": 0}),
        (
            "mila",
            1,
            "h100",
            {"gres": "gpu:h100:1", "tasks_per_gpu": 0, "slurm_partition": "short-unkillable"},
        ),
        (
            "jeanzay",
            2,
            "v100-32g",
            {
                "gres": "gpu:2",
                "tasks_per_gpu": 0,
                "slurm_extra": "--ntasks-per-node=1",
                "qos": "qos_gpu-t3",
                "constraint": "v100-32g",
            },
        ),
        (
            "leonardo",
            4,
            None,
            {"slurm_extra": "--gpus-per-node=4 --ntasks-per-node=1", "slurm_partition": "boost_usr_prod"},
        ),
        (
            "juwels",
            4,
            None,
            {
                "gres": "gpu:4",
                "tasks_per_gpu": 0,
                "slurm_extra": "--ntasks-per-node=1",
                "slurm_partition": "booster",
            },
        ),
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
        # More than a GPU's share of cores is established there, and no memory.
        ("jeanzay", 1, {"gpu": "h100"}, 24, None),
        ("jeanzay", 1, {"gpu": "h100", "memory": 1024}, 24, 1024),
        ("jeanzay", 0, {}, 2, 4 * 1024),
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
        ("rorqual", 1, "h100_4g.40gb", "expected one of h100, h100_1g.10gb"),
    ],
)
def test_what_a_cluster_has_not_is_refused(cluster, gpus, gpu, said):
    with pytest.raises(ConfigError) as caught:
        _request(cluster, gpus, gpu=gpu)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cluster", "gpus", "gigabytes", "chosen"),
    [
        ("narval", 1, 5, "a100_1g.5gb"),
        ("narval", 1, 6, "a100_2g.10gb"),
        ("narval", 1, 10, "a100_2g.10gb"),
        ("narval", 1, 20, "a100_3g.20gb"),
        ("narval", 1, 21, "a100"),
        # A job has one MIG instance.
        ("narval", 2, 5, "a100"),
        ("fir", 1, 40, "h100_3g.40gb"),
        ("jeanzay", 1, 10, "v100"),
        ("jeanzay", 4, 17, "v100-32g"),
        ("jeanzay", 8, 33, "a100"),
    ],
)
def test_the_smallest_gpu_with_enough_memory_is_asked_for(cluster, gpus, gigabytes, chosen):
    gpu = _request(cluster, gpus, gpu_memory=gigabytes * 1024).gpu
    assert gpu is not None
    assert gpu.name == chosen


@pytest.mark.parametrize(
    ("cluster", "given", "said"),
    [
        (
            "narval",
            {"gpu_memory": 41 * 1024},
            "found 41 GiB, expected as much that 1 GPUs of a job of Narval have each",
        ),
        ("killarney", {"gpu_memory": 1024}, "of a job of Killarney have each (not established); name a model"),
        (
            "narval",
            {"gpu_memory": 1024, "gpu": "a100"},
            "gpu_memory: found 1 GiB with gpu: a100, expected one of the two",
        ),
        ("fir", {"gpu": "any"}, "resources.gpu: found any, expected one of h100, "),
        ("fir", {"gpu": "any"}, "h100_3g.40gb: Fir refuses a request that names no model"),
        ("mila", {"gpu": "any"}, ": it is not established whether Mila takes a request that names no model"),
        ("marenostrum5", {}, "resources.qos: found none, expected one that begins with acc_, which MareNostrum 5"),
    ],
)
def test_a_choice_that_a_cluster_cannot_make_is_refused(cluster, given, said):
    with pytest.raises(ConfigError) as caught:
        _request(cluster, 1, **given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("cluster", "gpus", "given", "placed"),
    [
        ("jeanzay", 1, {"time": 20 * 60}, {"qos": "qos_gpu-t3"}),
        ("jeanzay", 1, {"time": 20 * 60 + 1}, {"qos": "qos_gpu-t4"}),
        ("jeanzay", 0, {"time": 21 * 60}, {"qos": "qos_cpu-t4"}),
        ("leonardo", 0, {}, {"slurm_partition": "dcgp_usr_prod"}),
        # What the user says comes first.
        ("jeanzay", 1, {"qos": "qos_gpu-dev", "constraint": "h100"}, {"qos": "qos_gpu-dev", "constraint": "h100"}),
        ("leonardo", 1, {"qos": "boost_qos_dbg"}, {"slurm_partition": "boost_usr_prod", "qos": "boost_qos_dbg"}),
        ("marenostrum5", 1, {"qos": "acc_ehpc"}, {"slurm_partition": "acc", "qos": "acc_ehpc"}),
        ("narval", 1, {"partition": "mine"}, {"slurm_partition": "mine"}),
    ],
)
def test_partition_and_quality_of_service_are_those_of_the_site(cluster, gpus, given, placed):
    resources = _request(cluster, gpus, **given).resources
    names = ("slurm_partition", "qos", "constraint")
    assert {name: resources[name] for name in names if name in resources} == placed


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

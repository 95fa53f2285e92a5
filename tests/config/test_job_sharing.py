"""How many runs share a job, and which."""

from __future__ import annotations

import pytest

from runferry.config.cluster import find_cluster
from runferry.config.job_request import make_request
from runferry.errors import ConfigError
from support.packed_runs import an_experiment


@pytest.mark.parametrize(
    ("cluster", "given", "side_by_side", "one_after_another"),
    [
        # A node of TamIA's has four h100 or eight h200.
        ("tamia", {"gpus": 1}, 4, 1),
        ("tamia", {"gpus": 2}, 2, 1),
        ("tamia", {"gpus": 4}, 1, 1),
        ("tamia", {"gpus": 2, "gpu": "h200"}, 4, 1),
        ("nibi", {"gpus": 1, "gpu": "mi300a"}, 4, 1),
        ("tamia", {"gpus": 1, "side_by_side": 2}, 2, 1),
        ("tamia", {"gpus": 0}, 1, 1),
        # Elsewhere a job can have one.
        ("narval", {"gpus": 1}, 1, 1),
        ("narval", {"gpus": 1, "side_by_side": 4}, 4, 1),
        # A job should last an hour.
        ("narval", {"time": 20}, 1, 3),
        ("narval", {"time": 25}, 1, 3),
        ("narval", {"time": 59}, 1, 2),
        ("narval", {"time": 60}, 1, 1),
        ("narval", {"time": 20, "one_after_another": 1}, 1, 1),
        ("narval", {"time": 120, "one_after_another": 5}, 1, 5),
        ("tamia", {"gpus": 1, "time": 15}, 4, 4),
        # Where nothing is said of it, and where there is no job.
        ("mila", {"time": 5}, 1, 1),
        ("local", {"time": 5}, 1, 1),
        ("local", {"time": 5, "side_by_side": 2, "one_after_another": 3}, 2, 3),
        # Five runs on one GPU, or on each of a whole node.
        ("narval", {"gpus": 1, "share_gpu": 5}, 5, 1),
        ("narval", {"gpus": 1, "share_gpu": 5, "side_by_side": 7}, 7, 1),
        ("narval", {"gpus": 1, "gpu": "a100_1g.5gb", "share_gpu": 3}, 3, 1),
        ("tamia", {"gpus": 1, "share_gpu": 5}, 20, 1),
        ("tamia", {"gpus": 1, "share_gpu": 5, "side_by_side": 5}, 5, 1),
        ("trillium", {"gpus": 1, "share_gpu": 2, "side_by_side": 8}, 8, 1),
        ("local", {"gpus": 1, "share_gpu": 5}, 5, 1),
        # A run of two nodes has them to itself.
        ("narval", {"nodes": 2, "time": 5}, 1, 1),
    ],
)
def test_runs_share_a_job_as_the_user_says_else_as_the_site_wants(cluster, given, side_by_side, one_after_another):
    packing = make_request(an_experiment(**given), find_cluster(cluster)).packing
    assert (packing.side_by_side, packing.one_after_another) == (side_by_side, one_after_another)


@pytest.mark.parametrize(
    ("cluster", "given", "runs", "cores", "memory", "time", "gpus"),
    [
        # A whole node, however many run on it.
        ("tamia", {"gpus": 1}, 4, 48, 512 * 1024, 60, 4),
        ("tamia", {"gpus": 1}, 1, 48, 512 * 1024, 60, 4),
        ("tamia", {"gpus": 1, "cores": 2, "memory": 1024}, 3, 6, 3 * 1024, 60, 4),
        # Never more than it has.
        ("tamia", {"gpus": 1, "cores": 20, "memory": 200 * 1024}, 4, 48, 512 * 1024, 60, 4),
        # Elsewhere what those that run at a time need.
        ("narval", {"gpus": 1, "side_by_side": 4}, 4, 48, 496 * 1024, 60, 4),
        ("narval", {"gpus": 1, "side_by_side": 4}, 2, 24, 248 * 1024, 60, 2),
        ("narval", {"side_by_side": 3}, 3, 6, 12 * 1024, 60, 0),
        # One GPU for those that share it, with what the site gives with it, or what each of them asks for.
        ("narval", {"gpus": 1, "share_gpu": 5}, 5, 12, 124 * 1024, 60, 1),
        ("narval", {"gpus": 1, "share_gpu": 5, "cores": 3, "memory": 1024}, 4, 12, 4 * 1024, 60, 1),
        ("narval", {"gpus": 1, "share_gpu": 5, "side_by_side": 10}, 6, 24, 248 * 1024, 60, 2),
        ("tamia", {"gpus": 1, "share_gpu": 5}, 10, 48, 512 * 1024, 60, 4),
        # A minute for each one to end before the next.
        ("narval", {"gpus": 1, "time": 20}, 3, 12, 124 * 1024, 62, 1),
        ("narval", {"gpus": 1, "time": 20}, 2, 12, 124 * 1024, 41, 1),
        ("tamia", {"gpus": 1, "time": 15}, 9, 48, 512 * 1024, 47, 4),
        # Of each node.
        ("narval", {"gpus": 4, "nodes": 2}, 1, 48, 496 * 1024, 60, 4),
    ],
)
def test_what_the_job_of_a_pack_asks_for(cluster, given, runs, cores, memory, time, gpus):
    request = make_request(an_experiment(**given), find_cluster(cluster), runs)
    assert (request.cores, request.memory, request.time, request.gpus) == (cores, memory, time, gpus)
    assert request.resources["runtime"] == time


@pytest.mark.parametrize(
    ("cluster", "given", "said"),
    [
        ("narval", {"gpus": 1, "nodes": 2}, {"nodes": 2, "slurm_extra": "--gpus-per-node=a100:1", "tasks": 2}),
        ("killarney", {"gpus": 1, "nodes": 2}, {"nodes": 2, "gres": "gpu:l40s:1", "tasks_per_gpu": 0}),
        ("trillium", {"gpus": 4, "nodes": 2}, {"nodes": 2, "slurm_extra": "--gpus-per-node=4", "tasks": 2}),
        ("fir", {"nodes": 3}, {"nodes": 3, "tasks": 3}),
    ],
)
def test_gpus_are_asked_for_on_each_of_several_nodes(cluster, given, said):
    resources = dict(make_request(an_experiment(**given), find_cluster(cluster)).resources)
    assert {name: value for name, value in resources.items() if name not in ("mem_mb", "runtime")} == said


@pytest.mark.parametrize(
    ("cluster", "given", "cores", "said"),
    [
        # The plugin passes `tasks` where no `gpu` or `gres` is, and --ntasks-per-node in any case.
        ("fir", {"tasks": 3}, 3, {"tasks": 3, "cpus_per_task": 1}),
        ("fir", {"tasks": 4, "cores": 12}, 12, {"tasks": 4, "cpus_per_task": 3}),
        (
            "narval",
            {"tasks": 4, "gpus": 4},
            48,
            {
                "tasks": 4,
                "cpus_per_task": 12,
                "slurm_extra": "--ntasks-per-node=4",
                "gpu": 4,
                "gpu_model": "a100",
                "tasks_per_gpu": 0,
            },
        ),
        (
            "killarney",
            {"tasks": 2, "gpus": 1, "cores": 6},
            6,
            {
                "tasks": 2,
                "cpus_per_task": 3,
                "slurm_extra": "--ntasks-per-node=2",
                "gres": "gpu:l40s:1",
                "tasks_per_gpu": 0,
            },
        ),
        (
            "trillium",
            {"tasks": 4, "gpus": 4},
            96,
            {"tasks": 4, "cpus_per_task": 24, "slurm_extra": "--gpus-per-node=4"},
        ),
        # A whole node's cores, which five cannot share evenly.
        ("tamia", {"tasks": 5, "gpus": 4}, 45, {"tasks": 5, "cpus_per_task": 9, "slurm_extra": "--ntasks-per-node=5"}),
        ("local", {"tasks": 3}, 3, {}),
    ],
)
def test_tasks_are_asked_for_with_equal_parts_of_one_node(cluster, given, cores, said):
    request = make_request(an_experiment(**given), find_cluster(cluster))
    assert (request.cores, request.tasks, request.packing.capacity) == (cores, given["tasks"], 1)
    resources = {name: value for name, value in request.resources.items() if name not in ("mem_mb", "runtime", "nodes")}
    if cluster == "tamia":
        resources = {name: value for name, value in resources.items() if name in said}
    assert resources == said


@pytest.mark.parametrize(
    ("cluster", "given", "said"),
    [
        ("tamia", {"gpus": 3}, "resources.gpus: found 3 of h100, expected 4 (gpu: h100) or 8 (gpu: h200): TamIA gives"),
        ("tamia", {"gpus": 3}, "whole nodes of h100 and h200 only, or 1 or 2 of h100 beside other runs"),
        ("tamia", {"gpus": 1, "side_by_side": 1}, "or 1 or 2 of h100 where packing.side_by_side is not 1"),
        ("tamia", {"gpus": 2, "side_by_side": 3}, "packing.side_by_side: found 3 with gpus: 2, expected 1 or 2"),
        ("tamia", {"gpus": 2, "nodes": 2}, "resources.gpus: found 2 of h100, expected 4 (gpu: h100)"),
        (
            "narval",
            {"gpus": 2, "side_by_side": 3},
            "found 3 with gpus: 2, expected 1 or 2: a job on Narval has at most",
        ),
        ("narval", {"gpus": 1, "gpu": "a100_1g.5gb", "side_by_side": 2}, "has at most one MIG instance"),
        ("trillium", {"gpus": 1, "side_by_side": 2}, "packing.side_by_side: found 2 with gpus: 1, expected 1 or 4"),
        (
            "tamia",
            {"time": 600, "one_after_another": 3},
            "one_after_another: found 3 with resources.time of 600 minutes",
        ),
        ("narval", {"tasks": 2, "nodes": 2}, "resources.tasks: found 2 with nodes: 2, expected 1: on several nodes"),
        ("narval", {"tasks": 4, "cores": 6}, "resources.cores: found 6 with tasks: 4, expected a multiple of 4"),
        ("narval", {"tasks": 4, "gpus": 2, "gpus_per_task": 1}, "gpus_per_task: found 1 with gpus: 2 and tasks: 4"),
        ("narval", {"tasks": 2, "side_by_side": 2}, "side_by_side: found 2 with resources.tasks: 2, expected 1"),
        ("tamia", {"tasks": 2, "gpus": 2}, "resources.gpus: found 2 of h100, expected 4 (gpu: h100) or 8"),
        ("narval", {"nodes": 2, "side_by_side": 2}, "side_by_side: found 2 with resources.nodes: 2, expected 1"),
        ("local", {"gpus": 1, "side_by_side": 2}, "found 2 runs with GPUs, expected 1: this machine assigns no GPUs"),
        ("narval", {"share_gpu": 5}, "packing.share_gpu: found 5 with resources.gpus: 0, expected resources.gpus: 1"),
        ("narval", {"gpus": 2, "share_gpu": 5}, "share_gpu: found 5 with resources.gpus: 2"),
        (
            "narval",
            {"gpus": 1, "share_gpu": 5, "side_by_side": 4},
            "share_gpu: found 5 with side_by_side: 4, expected 4",
        ),
        (
            "narval",
            {"gpus": 1, "share_gpu": 5, "side_by_side": 21},
            "expected 5 or 10 or 15 or 20: a job on Narval has",
        ),
        ("narval", {"gpus": 1, "gpu": "a100_1g.5gb", "share_gpu": 3, "side_by_side": 4}, "expected 3: a job on"),
        ("narval", {"gpus": 4, "nodes": 2, "share_gpu": 5}, "share_gpu: found 5 with resources.nodes: 2, expected 1"),
        (
            "local",
            {"gpus": 1, "share_gpu": 5, "side_by_side": 6},
            "found 6 runs with GPUs, expected 5 (share_gpu): this machine",
        ),
        ("local", {"nodes": 2}, "resources.nodes: found 2, expected 1 on this machine"),
    ],
)
def test_what_does_not_fit_is_refused(cluster, given, said):
    with pytest.raises(ConfigError) as caught:
        make_request(an_experiment(**given), find_cluster(cluster))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)

"""How many runs share a job, and which."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from runferry.config.cluster import find_cluster
from runferry.config.experiment import Experiment
from runferry.config.job_request import make_request
from runferry.config.run import RunDefinition
from runferry.errors import ConfigError
from runferry.workflow.pack_plan import PackPlan, plan_packs

RUNS = {f"{number:012d}": RunDefinition(f"{number:012d}", "", {}, ("true",)) for number in range(10)}


def _experiment(**more) -> Experiment:
    given = {"cores": None, "gpus": 0, "gpu": None, "memory": None, "time": 60} | more
    return Experiment(name="e", workdir=Path(), runs=RUNS, tracker_settings={}, environment=None, **given)


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
        # A run of two nodes has them to itself.
        ("narval", {"nodes": 2, "time": 5}, 1, 1),
    ],
)
def test_runs_share_a_job_as_the_user_says_else_as_the_site_wants(cluster, given, side_by_side, one_after_another):
    packing = make_request(_experiment(**given), find_cluster(cluster)).packing
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
        # A minute for each one to end before the next.
        ("narval", {"gpus": 1, "time": 20}, 3, 12, 124 * 1024, 62, 1),
        ("narval", {"gpus": 1, "time": 20}, 2, 12, 124 * 1024, 41, 1),
        ("tamia", {"gpus": 1, "time": 15}, 9, 48, 512 * 1024, 47, 4),
        # Of each node.
        ("narval", {"gpus": 4, "nodes": 2}, 1, 48, 496 * 1024, 60, 4),
    ],
)
def test_what_the_job_of_a_pack_asks_for(cluster, given, runs, cores, memory, time, gpus):
    request = make_request(_experiment(**given), find_cluster(cluster), runs)
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
    resources = dict(make_request(_experiment(**given), find_cluster(cluster)).resources)
    assert {name: value for name, value in resources.items() if name not in ("mem_mb", "runtime")} == said


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
        ("narval", {"nodes": 2, "side_by_side": 2}, "side_by_side: found 2 with resources.nodes: 2, expected 1"),
        ("local", {"gpus": 1, "side_by_side": 2}, "found 2 with GPUs, expected 1 on this machine"),
        ("local", {"nodes": 2}, "resources.nodes: found 2, expected 1 on this machine"),
    ],
)
def test_what_does_not_fit_is_refused(cluster, given, said):
    with pytest.raises(ConfigError) as caught:
        make_request(_experiment(**given), find_cluster(cluster))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def _plan(results: Path, cluster: str, *, controller: bool = True, **given) -> PackPlan:
    experiment, facts = _experiment(**given), find_cluster(cluster)
    return plan_packs(results, facts, {"e": experiment}, {"e": make_request(experiment, facts)}, controller=controller)


def _matching(pattern: str) -> list[int]:
    return [int(run) for run in RUNS if re.fullmatch(pattern, run)]


def _write(file: Path, value=None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value or {}))


def test_runs_that_are_not_trained_are_packed_in_their_order(tmp_path):
    _write(tmp_path / "e" / "000000000003" / "trained.json")
    plan = _plan(tmp_path, "narval", side_by_side=4)
    assert [list(map(int, pack.runs)) for pack in plan.packs.values()] == [[0, 1, 2, 4], [5, 6, 7, 8]]
    assert _matching(plan.packed) == [0, 1, 2, 4, 5, 6, 7, 8]
    # One that would be alone in its pack needs none.
    assert _matching(plan.alone) == [3, 9]


def test_one_alone_on_a_whole_node_is_packed_too(tmp_path):
    plan = _plan(tmp_path, "tamia", gpus=1, side_by_side=3)
    assert [len(pack.runs) for pack in plan.packs.values()] == [3, 3, 3, 1]
    assert _matching(plan.alone) == []


def test_runs_that_were_trained_in_a_pack_are_no_rules(tmp_path):
    first = _plan(tmp_path, "narval", side_by_side=5)
    name, pack = next(iter(first.packs.items()))
    pack.write(tmp_path / "e" / "packs" / name / "runs.json")
    _write(tmp_path / "e" / "packs" / name / "done.json")
    for run in list(pack.runs)[:4]:
        _write(tmp_path / "e" / run / "trained.json")
    plan = _plan(tmp_path, "narval", side_by_side=5)
    assert [list(map(int, pack.runs)) for pack in plan.packs.values()] == [[4, 5, 6, 7, 8]]
    assert _matching(plan.alone) == [9]
    assert _matching(plan.packed) == [4, 5, 6, 7, 8]


def test_a_pack_that_failed_whole_has_its_id_and_is_told_of_the_attempts(tmp_path):
    before = _plan(tmp_path, "narval", side_by_side=10)
    _write(tmp_path / "e" / "000000000002" / "attempts" / "1.json")
    after = _plan(tmp_path, "narval", side_by_side=10)
    assert before.packs.keys() == after.packs.keys()
    (name,) = after.packs
    assert after.packs[name].runs["000000000002"] == 1
    assert before.pack("e", name).options != after.pack("e", name).options


def test_a_pack_whose_job_may_be_running_is_planned_as_it_is(tmp_path):
    before = _plan(tmp_path, "narval", side_by_side=4)
    names = list(before.packs)
    for name in names[:2]:
        before.packs[name].write(tmp_path / "e" / "packs" / name / "runs.json")
    _write(tmp_path / "e" / "packs" / names[0] / "done.json")
    # One of the second pack has been trained, and one is being trained.
    _write(tmp_path / "e" / "000000000004" / "finished.json")
    _write(tmp_path / "e" / "000000000005" / "attempts" / "1.json")
    plan = _plan(tmp_path, "narval", side_by_side=4)
    assert plan.packs[names[1]] == before.packs[names[1]]
    assert [run for run, pack in plan.pack_of.items() if pack == names[1]] == [f"{n:012d}" for n in (5, 6, 7)]
    assert plan.finished == {"000000000004"}
    assert _matching(plan.packed) == list(range(10))
    # With another number of runs at a time it would not fit its job.
    other = _plan(tmp_path, "narval", side_by_side=2)
    assert names[1] not in other.packs


def test_a_pack_whose_job_may_be_running_is_not_kept_where_packing_is_switched_off(tmp_path):
    (name, pack), *_ = _plan(tmp_path, "narval", time=20).packs.items()
    pack.write(tmp_path / "e" / "packs" / name / "runs.json")
    assert name in _plan(tmp_path, "narval", time=20).packs
    assert _plan(tmp_path, "narval", time=20, one_after_another=1).packs == {}


def test_a_jobs_own_snakemake_reads_its_pack_from_the_disk(tmp_path):
    (name, pack), *_ = _plan(tmp_path, "tamia", gpus=1, time=15).packs.items()
    pack.write(tmp_path / "e" / "packs" / name / "runs.json")
    for run in pack.runs:
        _write(tmp_path / "e" / run / "trained.json")
    inside = _plan(tmp_path, "tamia", gpus=1, time=15, controller=False)
    assert inside.packs == {}
    assert inside.pack("e", name) == pack
    assert inside.request("e", name).resources["runtime"] == 47
    assert _matching(inside.alone) == list(range(10))


def test_the_account_pays_for_a_pack_too(tmp_path):
    experiment, facts = _experiment(gpus=1), find_cluster("tamia")
    request = make_request(experiment, facts).paid_by("aip-lab_gpu")
    plan = plan_packs(tmp_path, facts, {"e": experiment}, {"e": request}, controller=True)
    assert {plan.request("e", name).resources["slurm_account"] for name in plan.packs} == {"aip-lab_gpu"}


def test_a_pack_has_at_most_so_many_runs_as_a_command_can_name(tmp_path):
    packing = make_request(_experiment(side_by_side=64, one_after_another=60, time=1), find_cluster("local")).packing
    assert packing.capacity == 1000

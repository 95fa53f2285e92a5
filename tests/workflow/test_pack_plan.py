"""Which runs share a job."""

from __future__ import annotations

import json
import re
from pathlib import Path

from runferry.config.cluster import find_cluster
from runferry.config.job_request import make_request
from runferry.workflow.pack_plan import PackPlan, plan_packs
from support.packed_runs import RUNS, an_experiment


def _plan(results: Path, cluster: str, *, controller: bool = True, **given) -> PackPlan:
    experiment, facts = an_experiment(**given), find_cluster(cluster)
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
    assert before.pack("e", name).line != after.pack("e", name).line


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
    experiment, facts = an_experiment(gpus=1), find_cluster("tamia")
    request = make_request(experiment, facts).paid_by("aip-lab_gpu")
    plan = plan_packs(tmp_path, facts, {"e": experiment}, {"e": request}, controller=True)
    assert {plan.request("e", name).resources["slurm_account"] for name in plan.packs} == {"aip-lab_gpu"}


def test_a_pack_has_at_most_so_many_runs_as_a_command_can_name(tmp_path):
    packing = make_request(an_experiment(side_by_side=64, one_after_another=60, time=1), find_cluster("local")).packing
    assert packing.capacity == 1000

"""Several requests for a run, of which the first to start trains it."""

from __future__ import annotations

import pytest

from runferry.config.cluster import find_cluster
from runferry.errors import ConfigError
from runferry.workflow.job_requests import Payment, PlanRefusals, requests_of
from support.errors.provoking import made


def _requests(cluster: str, any_of: list | None, **resources):
    packing = {"packing": resources.pop("packing")} if "packing" in resources else {}
    section = {"command": ["true"], "resources": {"gpus": 1, "time": "3h", **resources, "any_of": any_of}, **packing}
    refusals = PlanRefusals(dry_run=True)
    requests = requests_of(made({"e": section}), find_cluster(cluster), refusals, controller=True)
    if refusals.found:
        raise ConfigError(refusals.found[0])
    return [requests["e"], *requests["e"].alternatives]


def test_each_alternative_has_what_the_other_keys_say_but_for_its_own():
    found = _requests(
        "narval", [{"gpu": "a100"}, {"gpu": "a100_3g.20gb", "time": "6h"}, {"gpu_memory": "10G"}], exclude="ng1"
    )
    assert [(one.words, one.resources["gpu_model"], one.time, one.resources["slurm_extra"]) for one in found] == [
        ("gpu: a100", "a100", 180, "--exclude=ng1"),
        ("gpu: a100_3g.20gb, time: 6h", "a100_3g.20gb", 360, "--exclude=ng1"),
        ("gpu_memory: 10G", "a100_2g.10gb", 180, "--exclude=ng1"),
    ]


def test_a_run_has_one_request_unless_more_are_asked_for():
    assert [one.words for one in _requests("narval", None)] == [""]


def test_without_slurm_only_the_first_counts():
    [one] = _requests("local", [{"cores": 3}, {"cores": 4}])
    assert one.cores == 3


def test_runs_share_no_job():
    # Where nothing is said, Narval's jobs of 20 minutes have three runs in turn.
    assert {one.packing.capacity for one in _requests("narval", [{"time": "20m"}, {"time": "30m"}])} == {1}


@pytest.mark.parametrize(
    ("cluster", "any_of", "resources", "said"),
    [
        ("narval", [{"gpu": "a100"}, {"gpu": "v100"}], {}, "any_of.1 (gpu: v100): gpu: found 'v100', expected one of"),
        (
            "narval",
            [{"gpu": "a100"}, {"time": "30d"}],
            {},
            "any_of.1 (time: 30d): time: found 30d, expected 7d at most",
        ),
        ("narval", [{"cores": 500}, {"cores": 4}], {}, "any_of.0 (cores: 500): cores: found 500 for a job"),
        ("narval", [{"gpu": "a100"}, {"gpu": "A100"}], {}, "found the same request as that of (gpu: a100)"),
        (
            "narval",
            [{"gpu": "a100"}, {"cores": 4}],
            {"packing": {"share_gpu": 2}},
            "share_gpu: found 2 with resources.any_of",
        ),
        ("tamia", [{"gpu": "h100"}, {"gpu": "h200"}], {"gpus": 4}, "any_of.1 (gpu: h200): gpus: found 4 of h200"),
        ("tamia", [{"gpu": "h100"}, {"gpu": "h200"}], {}, "found 1 of h100, expected 4 (gpu: h100) or 8 (gpu: h200)"),
    ],
)
def test_what_the_site_does_not_take_is_refused_with_its_place(cluster, any_of, resources, said):
    with pytest.raises(ConfigError) as refused:
        _requests(cluster, any_of, **resources)
    assert said in str(refused.value)
    assert str(refused.value).startswith(("config: experiments.e.resources.any_of.", "config: experiments.e.packing."))


@pytest.mark.parametrize(
    ("any_of", "said"),
    [
        ([{"gpu": "a100"}], 'any_of: found [{"gpu": "a100"}], expected a list of two to eight alternatives'),
        ([{"gpu": "a100"}, {"gpus": 2}], "any_of.1.gpus: found an unknown key, expected one of gpu, gpu_memory"),
        ([{"gpu": "a100"}, {"time": "1:30"}], "any_of.1.time: found '1:30'"),
        ([{"gpu": "a100"}, {}], "any_of.1: found {}, expected a mapping with one or more of gpu"),
    ],
)
def test_what_is_no_alternative_is_refused(any_of, said):
    with pytest.raises(ConfigError) as refused:
        _requests("narval", any_of)
    assert said in str(refused.value)


def test_an_alternative_may_be_paid_by_another_account(monkeypatch):
    monkeypatch.setattr("runferry.workflow.job_requests.known_accounts", lambda: ["def-x_gpu", "rrg-x_gpu"])
    first, second = _requests("narval", [{"gpu": "a100"}, {"account": "rrg-x"}])
    requests = {"e": first}
    payment = Payment()
    payment.find(requests, {"account": "def-x"}, find_cluster("narval"))
    paid = [requests["e"], *requests["e"].alternatives]
    assert [one.resources["slurm_account"] for one in paid] == ["def-x_gpu", "rrg-x_gpu"]
    assert payment.in_words == "def-x_gpu and rrg-x_gpu (from config, yours, says Slurm)"
    assert second.account == "rrg-x"

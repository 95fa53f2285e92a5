"""What a W&B server answers besides data: redirects, limits of requests, and slowness at many runs at once."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from runferry.doctor.reach import reach
from runferry.errors import ServerError
from runferry.sync.wandb.live_client import BusyError, LiveServer
from runferry.trackers.wandb import connection, server
from runferry.trackers.wandb.server import Server
from runferry_standin import running

REDIRECTS = [301, 302, 303, 307, 308]


def _server(standin) -> Server:
    return Server(standin.url, standin.key, "the test")


def _make_runs(standin, count: int, project: str = "many") -> list[str]:
    names = [f"run{number}" for number in range(count)]
    for name in names:
        standin.graphql(
            f'mutation {{ upsertBucket(input: {{name: "{name}", modelName: "{project}"}}) {{ inserted }} }}'
        )
    return names


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_takes_the_key_to_no_other_host(status):
    with running() as standin, running() as elsewhere:
        standin.faults({"match": "*", "status": status, "location": elsewhere.url + "{path}"})
        where = f"found a redirect to {elsewhere.url}/graphql \\(HTTP {status}\\)"
        with pytest.raises(ServerError, match=where) as caught:
            _server(standin).default_entity()
        assert standin.key not in str(caught.value)
        with pytest.raises(ServerError, match="found a redirect to"):
            _server(standin).stream("demo", "p", "a", {})
        live = LiveServer(_server(standin), 1)
        with pytest.raises(BusyError, match="found a redirect to"):
            live.upsert("demo", "p", "a")
        live.close()
        assert reach(standin.url, {}).reached
        assert elsewhere.requests()["total"] == 0


@pytest.mark.parametrize("location", ["http://user:secret@w.example/a?key=secret", "/login?next=secret", ""])
def test_what_is_said_of_a_redirect_holds_no_more_than_its_place(location):
    with running() as standin:
        standin.faults({"match": "graphql", "status": 302, "location": location})
        with pytest.raises(ServerError, match="found a redirect to http://") as caught:
            _server(standin).default_entity()
        assert "secret" not in str(caught.value)


def test_a_limit_of_requests_is_kept_as_its_headers_say(monkeypatch):
    pauses: list[float] = []
    with running() as standin:
        asked = _server(standin)
        standin.faults({"match": "graphql", "limit": {"requests": 1, "seconds": 3}})
        assert asked.default_entity() == "demo"
        monkeypatch.setattr(connection.time, "sleep", pauses.append)
        standin.faults(
            {"match": "graphql", "status": 429, "count": 6}
            | {"headers": {"RateLimit-Remaining": "0", "RateLimit-Reset": "12.5"}}
        )
        # Without a deadline, as status, plan and doctor ask: more often than there are pauses of our own.
        assert asked.default_entity() == "demo"
    assert pauses == [12.5] * 6


def test_a_limit_of_requests_is_over_after_the_wait():
    with running() as standin:
        standin.faults({"match": "graphql", "limit": {"requests": 1, "seconds": 2}})
        begun = time.monotonic()
        for _ in range(3):
            assert _server(standin).default_entity() == "demo"
        assert 3 < time.monotonic() - begun < 12
        assert standin.requests()["total"] <= 6


def test_nobody_waits_for_an_hour_without_a_deadline():
    with running() as standin:
        standin.faults({"match": "graphql", "status": 429, "headers": {"RateLimit-Reset": "3600"}})
        with pytest.raises(ServerError, match="it asked to wait for 3600 s, which is beyond 120 s"):
            _server(standin).default_entity()
        assert standin.requests()["total"] == 1


def test_a_live_sync_is_told_the_wait_of_a_limit():
    with running() as standin:
        standin.faults({"match": "graphql", "status": 429, "headers": {"RateLimit-Reset": "12"}})
        live = LiveServer(_server(standin), 1)
        with pytest.raises(BusyError) as caught:
            live.upsert("demo", "p", "a")
        live.close()
    assert caught.value.wait == 12


def test_a_server_too_slow_for_many_runs_is_asked_for_fewer(monkeypatch):
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT", 1.0)
    said: list[str] = []
    with running() as standin:
        names = _make_runs(standin, 60)
        standin.behave(heavy_run_seconds=0.04)
        standin.clear_requests()
        entity, found = replace(_server(standin), say=said.append).look("", "many", names)
        assert entity == "demo"
        assert sorted(found) == sorted(names)
        assert "asking for 30 runs at once" in said[0]
        # 60 names, 60 runs in vain, 30 in vain or not, then the rest.
        assert standin.requests()["total"] <= 8


def test_a_server_that_fails_at_many_runs_is_asked_for_fewer(monkeypatch):
    monkeypatch.setattr(server, "PAUSES", (0.01,))
    with running() as standin:
        names = _make_runs(standin, 45)
        standin.faults({"match": "graphql:RunferryRuns", "containing": '"first": 45', "status": 502})
        assert sorted(_server(standin).runs("demo", "many", names)) == sorted(names)


def test_a_slow_answer_makes_the_next_question_smaller(monkeypatch):
    monkeypatch.setattr(server, "RUNS_PER_REQUEST", 40)
    monkeypatch.setattr(server, "SLOW_SECONDS", 0.5)
    with running() as standin:
        names = _make_runs(standin, 80)
        standin.behave(heavy_run_seconds=0.02)
        standin.clear_requests()
        assert len(_server(standin).runs("demo", "many", names)) == 80
        assert standin.requests()["total"] == 3


def test_config_and_summary_are_asked_only_of_runs_that_are_there():
    with running() as standin:
        names = _make_runs(standin, 3)
        standin.behave(heavy_run_seconds=0.5)
        begun = time.monotonic()
        _server(standin).look("demo", "many", [f"other{number}" for number in range(100)])
        assert time.monotonic() - begun < 5
        standin.behave(heavy_run_seconds=0)
        standin.clear_requests()
        found = _server(standin).look("demo", "many", [*names, "other"])[1]
        assert json.dumps(sorted(found)) == json.dumps(names)
        assert standin.requests()["total"] == 2

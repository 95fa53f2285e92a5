"""Where the key and the address come from, and what is made of a server's answers."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from runferry.errors import ServerError
from runferry.trackers.wandb import connection
from runferry.trackers.wandb.server import Server
from runferry_standin import running
from support.logins import nothing_set  # noqa: F401 - a fixture

KEY = "ab" * 20


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.wandb.ai",
        "https://api.forge.coreweave.com",
        "https://api.w.example",
        "https://w.example",
        "http://127.0.0.1:8080",
    ],
)
def test_the_page_of_a_run_is_where_wandb_says_that_it_is(base_url):
    from wandb.util import api_to_app_url

    assert Server(base_url, KEY, "").run_url("e", "a b", "r") == f"{api_to_app_url(base_url)}/e/a%20b/runs/r"


def _server(standin) -> Server:
    return Server(standin.url, standin.key, "the test")


def test_a_project_that_is_not_there_has_no_runs():
    with running() as standin:
        assert _server(standin).runs("demo", "nothing", ["a"]) == {}
        assert _server(standin).default_entity() == "demo"


def test_many_runs_are_asked_for_in_few_requests():
    with running() as standin:
        _server(standin).runs("demo", "nothing", [f"run{number}" for number in range(120)])
        assert standin.requests()["counts"] == {"graphql:RunferryRuns": 2}
        standin.clear_requests()
        entity, found = _server(standin).look("", "nothing", [f"run{number}" for number in range(260)])
        assert (entity, found) == ("demo", {})
        assert standin.requests()["counts"] == {"graphql:RunferryRuns": 2}


def test_a_wrong_key_is_refused_at_once():
    with running() as standin:
        with pytest.raises(ServerError, match=r"refused the key found in the test \(HTTP 401\)") as caught:
            Server(standin.url, KEY, "the test").default_entity()
        assert KEY not in str(caught.value)
        assert standin.requests()["total"] == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(status):
    with running() as standin:
        standin.faults({"match": "graphql", "status": status, "count": 2})
        assert _server(standin).default_entity() == "demo"
        standin.faults({"match": "graphql", "status": status})
        with pytest.raises(ServerError, match=f"found HTTP {status}"):
            _server(standin).default_entity()


def test_a_server_that_says_how_long_to_wait_is_waited_for_as_long(monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(connection.time, "sleep", pauses.append)
    said: list[str] = []
    with running() as standin:
        standin.faults({"match": "graphql", "status": 429, "headers": {"Retry-After": "7"}, "count": 2})
        asked = replace(_server(standin), deadline=60.0, say=said.append)
        assert asked.default_entity() == "demo"
    assert pauses == [7.0, 7.0]
    assert said == [f"{standin.url}: found HTTP 429, expected 200; trying again in 7 s"] * 2


def test_a_server_that_asks_for_more_than_the_deadline_is_left_at_once():
    with running() as standin:
        standin.faults({"match": "graphql", "status": 503, "headers": {"Retry-After": "3600"}})
        with pytest.raises(ServerError, match="it asked to wait for 3600 s, which is beyond"):
            replace(_server(standin), deadline=5.0).default_entity()
        assert standin.requests()["total"] == 1


def test_a_black_holed_server_is_left_when_the_deadline_has_passed(monkeypatch):
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT", 0.3)
    monkeypatch.setattr(connection, "PAUSES", (0.1,))
    monkeypatch.setattr(connection, "LONGEST_PAUSE", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as hole:
        # Nobody accepts, and the queue is full: what comes now is not answered at all, as behind some firewalls.
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        server = Server(f"http://127.0.0.1:{hole.getsockname()[1]}", KEY, "the test", deadline=1.0)
        begun = time.monotonic()
        with pytest.raises(ServerError, match=r"could not be reached: expected an answer, found timed out"):
            server.default_entity()
        assert 0.5 < time.monotonic() - begun < 10
        for filler in fillers:
            filler.close()


def test_a_dropped_connection_is_made_again():
    with running() as standin:
        standin.faults(
            {"match": "graphql", "drop": "before", "count": 1}, {"match": "graphql", "drop": "answering", "count": 1}
        )
        assert _server(standin).default_entity() == "demo"


def test_a_login_page_is_no_answer():
    with running() as standin:
        standin.faults({"match": "graphql", "html": True})
        with pytest.raises(ServerError, match="not JSON"):
            _server(standin).default_entity()


def test_a_server_that_is_not_there_is_named():
    with running() as standin:
        gone = _server(standin)
    with pytest.raises(ServerError, match="could not be reached"):
        gone.default_entity()


def test_a_refused_question_is_an_error_and_no_answer():
    with running() as standin:
        standin.faults({"match": "graphql", "status": 200, "body": {"errors": [{"message": "no such field"}]}})
        with pytest.raises(ServerError, match="no such field"):
            _server(standin).default_entity()

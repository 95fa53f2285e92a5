"""Faults of the stand-in that a server may have in truth: rows lost and altered, limits, redirects, a second writer."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from runferry_standin import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runferry_standin import StandIn

STREAM = "/files/demo/p/a/file_stream"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with running(lag=0) as standin:
        standin.graphql('mutation { upsertBucket(input: {name: "a", modelName: "p"}) { inserted } }')
        yield standin


def send(server: StandIn, offset: int, count: int) -> None:
    lines = [json.dumps({"_step": i, "loss": i}) for i in range(offset, offset + count)]
    server.ask("POST", STREAM, {"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}})


def losses(server: StandIn) -> list[Any]:
    return [row.get("loss") for row in server.run("demo", "p", "a")["history"]]


def test_rows_are_lost_at_a_rate_and_the_count_shows_it(server: StandIn) -> None:
    server.faults({"match": "file_stream", "lose_rows": 0.05, "count": 1})
    send(server, 0, 1000)
    send(server, 1000, 10)

    kept = losses(server)
    assert 20 < 1010 - len(kept) < 90
    assert kept == sorted(set(kept))
    assert server.run("demo", "p", "a")["history_line_count"] == len(kept)
    assert kept[-10:] == list(range(1000, 1010))


def test_another_seed_loses_other_rows(server: StandIn) -> None:
    lost: list[set[int]] = []
    for seed in (0, 0, 1):
        server.faults({"match": "file_stream", "lose_rows": 0.1, "seed": seed})
        server.change_rows("demo", "p", "a", dict.fromkeys(range(100)))
        send(server, 0, 100)
        lost.append(set(range(100)) - set(losses(server)))

    assert lost[0] == lost[1] != lost[2]


def test_values_are_altered_and_the_count_is_right(server: StandIn) -> None:
    server.faults({"match": "file_stream", "alter_rows": 0.1})
    send(server, 0, 100)

    changed = [i for i, loss in enumerate(losses(server)) if loss != i]
    assert 2 < len(changed) < 25
    assert all(losses(server)[i] == i + 1 for i in changed)
    assert server.run("demo", "p", "a")["history_line_count"] == 100


def test_a_row_is_lost_and_its_neighbour_doubled(server: StandIn) -> None:
    server.faults({"match": "file_stream", "double_rows": 0.1})
    send(server, 0, 100)

    kept = losses(server)
    assert len(kept) == 100
    assert 75 < len(set(kept)) < 99
    assert all(loss in (i - 1, i, i + 1) for i, loss in enumerate(kept))


def test_only_requests_with_the_rule_are_touched(server: StandIn) -> None:
    server.faults({"match": "file_stream", "lose_rows": 1, "after": 1, "count": 1})
    for offset in (0, 2, 4):
        send(server, offset, 2)

    assert losses(server) == [0, 1, 4, 5]


def test_a_second_writer_appends(server: StandIn) -> None:
    server.faults({"match": "file_stream", "second_writer": {"rows": 2}, "count": 1})
    send(server, 0, 3)

    assert losses(server) == [0, 1, 2, None, None]
    run = server.run("demo", "p", "a")
    assert [row["_step"] for row in run["history"]] == [0, 1, 2, 3, 4]
    assert run["last_step"] == 4


def test_a_second_writer_at_the_start_displaces_what_comes_next(server: StandIn) -> None:
    server.faults({"match": "file_stream", "second_writer": {"rows": 1, "offset": 0}, "count": 1})
    send(server, 0, 5)
    send(server, 5, 2)

    assert losses(server) == [None, 5, 6, 3, 4]


def test_rows_can_be_changed_after_they_came(server: StandIn) -> None:
    send(server, 0, 5)
    server.change_rows("demo", "p", "a", {1: '{"_step": 1, "loss": 70}', 3: None, 4: None})

    assert losses(server) == [0, 70, 2]
    send(server, 3, 1)
    assert losses(server) == [0, 70, 2, 3]


def test_a_limit_says_how_long_to_wait_and_lets_pass_whoever_waits(server: StandIn) -> None:
    server.faults({"match": "file_stream", "limit": {"requests": 2, "seconds": 1}})
    send(server, 0, 1)
    send(server, 1, 1)
    with pytest.raises(urllib.error.HTTPError) as refused:
        send(server, 2, 1)

    assert refused.value.code == 429
    assert refused.value.headers["RateLimit-Remaining"] == "0"
    assert refused.value.headers["Retry-After"] is None
    time.sleep(int(refused.value.headers["RateLimit-Reset"]))
    send(server, 2, 1)
    assert losses(server) == [0, 1, 2]
    assert server.rules()[0]["used"] == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_to_another_host(server: StandIn, status: int) -> None:
    with running(lag=0) as other:
        server.faults({"match": "graphql", "status": status, "location": other.url + "{path}"})
        address = urlsplit(server.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        connection.request("POST", "/graphql", '{"query": "{ viewer { id } }"}')
        answer = connection.getresponse()

        assert answer.status == status
        assert answer.headers["Location"] == f"{other.url}/graphql"


@pytest.mark.parametrize(
    "rule",
    [
        {"lose_rows": 2},
        {"alter_rows": -0.1},
        {"limit": {"requests": 3}},
        {"limit": {"requests": 3, "seconds": 0}},
        {"second_writer": {"lines": 1}},
        {"lose_rows": 0.1, "double_rows": 0.1},
    ],
)
def test_an_impossible_rule_is_refused(server: StandIn, rule: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.faults({"match": "file_stream"} | rule)

    assert refused.value.code == 400

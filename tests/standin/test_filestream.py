"""The file stream: what is stored where, and what state a run is in."""

from __future__ import annotations

import json
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest

from runferry_standin import running

if TYPE_CHECKING:
    from runferry_standin import StandIn


@pytest.fixture(autouse=True)
def _run(server: StandIn) -> None:
    server.graphql('mutation { upsertBucket(input: {name: "a", modelName: "p"}) { inserted } }')


def stream(server: StandIn, **request: Any) -> Any:
    return server.ask("POST", "/files/demo/p/a/file_stream", request)


def rows(*steps: int) -> list[str]:
    return [json.dumps({"_step": step}) for step in steps]


def chunk(offset: int, content: list[str], file: str = "wandb-history.jsonl") -> dict[str, Any]:
    return {file: {"offset": offset, "content": content}}


def steps(server: StandIn) -> list[int]:
    return [row["_step"] for row in server.run("demo", "p", "a")["history"]]


def test_lines_are_stored_in_order_of_their_offsets(server: StandIn) -> None:
    server.behave(gaps="kept")
    stream(server, files=chunk(2, rows(2, 3)))
    stream(server, files=chunk(0, rows(0, 1)))

    assert steps(server) == [0, 1, 2, 3]
    assert server.run("demo", "p", "a")["last_step"] == 3


def test_a_batch_sent_again_at_its_offset_is_no_duplicate(server: StandIn) -> None:
    for _ in range(2):
        stream(server, files=chunk(0, rows(0, 1, 2)))

    assert steps(server) == [0, 1, 2]


def test_a_line_sent_again_replaces_what_was_there(server: StandIn) -> None:
    stream(server, files=chunk(0, ["downloading 10 %"], "output.log"))
    stream(server, files=chunk(0, ["downloading 100 %", "done"], "output.log"))

    assert server.run("demo", "p", "a")["output"] == ["downloading 100 %", "done"]


def test_a_batch_that_never_came_leaves_a_gap_that_the_count_shows(server: StandIn) -> None:
    stream(server, files=chunk(0, rows(0, 1)))
    stream(server, files=chunk(4, rows(4, 5)))

    run = server.run("demo", "p", "a")
    assert run["history_line_count"] == 4
    assert run["last_step"] == 5


def test_of_the_summary_the_last_line_counts(server: StandIn) -> None:
    stream(server, files=chunk(0, ['{"loss": 2}', '{"loss": 1}'], "wandb-summary.json"))

    assert server.run("demo", "p", "a")["summary"] == {"loss": 1}


def test_system_events_are_counted(server: StandIn) -> None:
    stream(server, files=chunk(0, ['{"system.cpu": 1}', '{"system.cpu": 2}'], "wandb-events.jsonl"))

    assert server.run("demo", "p", "a")["events_count"] == 2


@pytest.mark.parametrize(("exit_code", "state"), [(0, "finished"), (1, "failed"), (255, "failed")])
def test_the_exit_code_says_how_a_run_ended(server: StandIn, exit_code: int, state: str) -> None:
    stream(server, complete=True, exitcode=exit_code)

    run = server.run("demo", "p", "a")
    assert (run["state"], run["exit_code"]) == (state, exit_code)


def test_a_heartbeat_brings_a_run_that_had_ended_back(server: StandIn) -> None:
    stream(server, complete=True, exitcode=0)
    stream(server)

    assert server.run("demo", "p", "a")["state"] == "running"


def test_a_run_without_a_heartbeat_for_five_minutes_is_crashed(server: StandIn) -> None:
    stream(server)
    server.set_ahead(299)
    assert server.run("demo", "p", "a")["state"] == "running"

    server.set_ahead(302)

    assert server.run("demo", "p", "a")["state"] == "crashed"
    query = '{ project(name: "p", entityName: "demo") { runCount(filters: "{\\"state\\": \\"crashed\\"}") } }'
    assert server.graphql(query)["data"]["project"]["runCount"] == 1
    stream(server)
    assert server.run("demo", "p", "a")["state"] == "running"


def test_a_run_that_ended_never_crashes(server: StandIn) -> None:
    stream(server, complete=True, exitcode=0)
    server.set_ahead(10_000)

    assert server.run("demo", "p", "a")["state"] == "finished"


def test_the_clock_can_be_given() -> None:
    with running(clock=lambda: 86_400.0) as server:
        query = 'mutation { upsertBucket(input: {name: "a"}) { bucket { createdAt } } }'
        created = server.graphql(query)["data"]["upsertBucket"]["bucket"]["createdAt"]

    assert created == "1970-01-02T00:00:00Z"


@pytest.mark.parametrize(
    "request_body",
    [
        [],
        {"files": {"wandb-history.jsonl": {"content": []}}},
        {"files": {"wandb-history.jsonl": {"offset": -1, "content": []}}},
        {"files": {"wandb-history.jsonl": {"offset": 2**70, "content": []}}},
        {"files": {"wandb-history.jsonl": {"offset": 0, "content": [1]}}},
        {"files": {"output.log": {"offset": 0, "content": ["kept?"]}, "wandb-history.jsonl": 3}},
    ],
)
def test_a_malformed_request_is_refused_and_nothing_of_it_is_kept(server: StandIn, request_body: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.ask("POST", "/files/demo/p/a/file_stream", request_body)

    assert refused.value.code == 400
    run = server.run("demo", "p", "a")
    assert (run["history_line_count"], run["output"]) == (0, [])


def test_a_run_that_was_never_announced_is_not_found(server: StandIn) -> None:
    with pytest.raises(LookupError):
        server.ask("POST", "/files/demo/p/nothing/file_stream", {})


def test_a_line_that_is_no_json_is_kept_as_it_is(server: StandIn) -> None:
    stream(server, files=chunk(0, ["{cut off"]))

    assert server.run("demo", "p", "a")["history_line_count"] == 1


def test_a_step_beyond_what_can_be_counted_is_no_step(server: StandIn) -> None:
    stream(server, files=chunk(0, [json.dumps({"_step": 2**70}), '{"_step": NaN}', '{"_step": 3.0}']))

    run = server.run("demo", "p", "a")
    assert (run["history_line_count"], run["last_step"]) == (3, 3)

"""What the stand-in does wrong when it is told to, and what real clients make of it."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import time
import urllib.error
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from runferry_standin import StandIn
    from support.wandb_clients import Wandb

STREAM = "/files/demo/p/a/file_stream"
HISTORY = {"files": {"wandb-history.jsonl": {"offset": 0, "content": ['{"_step": 0}', '{"_step": 1}']}}}

OFFLINE = """
import wandb
with wandb.init(project="digits", mode="offline", id="lost1") as run:
    for i in range(20):
        run.log({"i": i})
"""

QUICK_RETRIES = {
    "WANDB_X_FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "0.1",
    "WANDB_X_GRAPHQL_RETRY_WAIT_MIN_SECONDS": "0.1",
}


@pytest.fixture(autouse=True)
def _run(server: StandIn) -> None:
    server.graphql('mutation { upsertBucket(input: {name: "a", modelName: "p"}) { inserted } }')


@pytest.fixture(scope="module")
def segment_of_20_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("segment") / "offline-run"


@pytest.fixture
def segment(newest_wandb: Wandb, segment_of_20_rows: Path, tmp_path: Path) -> Path:
    """A segment with 20 rows, as the newest wandb wrote it; made once, a copy for each test."""
    if not segment_of_20_rows.exists():
        newest_wandb.run(OFFLINE)
        shutil.copytree(newest_wandb.segments()[0], segment_of_20_rows, symlinks=True)
    return shutil.copytree(segment_of_20_rows, tmp_path / "offline-run-copy", symlinks=True)


def stored_rows(server: StandIn, project: str = "p", run: str = "a") -> int:
    return server.run("demo", project, run)["history_line_count"]


def send(server: StandIn) -> Any:
    return server.ask("POST", STREAM, HISTORY)


def status_of(server: StandIn) -> int:
    try:
        send(server)
    except LookupError:
        return 404
    except urllib.error.HTTPError as error:
        return error.code
    return 200


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503])
def test_any_status_can_be_answered(server: StandIn, status: int) -> None:
    server.faults({"match": "file_stream", "status": status})

    assert status_of(server) == status
    assert stored_rows(server) == 0


def test_an_answer_has_the_body_and_the_headers_of_the_rule(server: StandIn) -> None:
    server.faults({"match": "file_stream", "status": 429, "body": {"error": "slowly"}, "headers": {"Retry-After": "7"}})

    with pytest.raises(urllib.error.HTTPError) as refused:
        send(server)

    assert json.load(refused.value) == {"error": "slowly"}
    assert refused.value.headers["Retry-After"] == "7"


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_leads_to_a_page_as_a_captive_portal_does(server: StandIn, status: int) -> None:
    server.faults({"match": "file_stream", "status": status})
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)

    connection.request("POST", STREAM, json.dumps(HISTORY))
    answer = connection.getresponse()
    answer.read()
    connection.request("GET", answer.headers["Location"])
    page = connection.getresponse()

    assert answer.status == status
    assert page.status == 200
    assert b"<title>Sign in" in page.read()


def test_a_page_can_be_answered_with_status_200(server: StandIn) -> None:
    server.faults({"match": "file_stream", "html": True})

    with pytest.raises(json.JSONDecodeError):
        send(server)

    assert stored_rows(server) == 0


@pytest.mark.parametrize(("where", "stored"), [("before", 0), ("reading", 0), ("answering", 2)])
def test_a_connection_can_be_dropped(server: StandIn, where: str, stored: int) -> None:
    server.faults({"match": "file_stream", "drop": where, "count": 1})

    with pytest.raises((http.client.HTTPException, OSError)):
        send(server)

    assert stored_rows(server) == stored
    send(server)
    assert stored_rows(server) == 2


def test_a_request_can_hang_until_the_rules_change(server: StandIn) -> None:
    server.faults({"match": "file_stream", "hang": True})
    ended: list[Exception] = []

    def hang() -> None:
        try:
            send(server)
        except (http.client.HTTPException, OSError) as error:
            ended.append(error)

    hanging = threading.Thread(target=hang)
    hanging.start()
    _wait_until(lambda: server.rules()[0]["used"] == 1)
    assert hanging.is_alive()

    server.faults()
    hanging.join(10)

    assert len(ended) == 1
    assert stored_rows(server) == 0


def test_a_slow_answer_comes_later_and_is_the_usual_one(server: StandIn) -> None:
    server.faults({"match": "file_stream", "slow": 0.3})

    send(server)

    assert stored_rows(server) == 2
    assert server.requests()["requests"][-1]["seconds"] >= 0.3


def test_what_is_slow_can_also_fail(server: StandIn) -> None:
    server.faults({"slow": 0.01}, {"match": "file_stream", "status": 500})

    assert status_of(server) == 500
    assert [rule["used"] for rule in server.rules()] == [1, 1]


def test_a_lost_batch_is_answered_as_if_it_were_stored(server: StandIn) -> None:
    server.faults({"match": "file_stream", "lose": True, "count": 1})

    assert send(server) == {"exitcode": None, "limits": {}}

    assert stored_rows(server) == 0


def test_a_lost_mutation_is_answered_as_if_it_were_done(server: StandIn) -> None:
    server.faults({"match": "graphql:UpsertBucket", "lose": True})
    query = 'mutation UpsertBucket { upsertBucket(input: {name: "b", modelName: "p"}) { inserted } }'

    assert server.graphql(query)["data"]["upsertBucket"]["inserted"] is True

    assert server.runs("demo", "p") == ["a"]


def test_a_rule_begins_and_ends_with_the_requests_it_counts(server: StandIn) -> None:
    server.faults({"match": "file_stream", "status": 500, "after": 1, "count": 2})

    assert [status_of(server) for _ in range(5)] == [200, 500, 500, 200, 200]
    (rule,) = server.rules()
    assert (rule["seen"], rule["used"]) == (5, 2)


def test_a_rule_can_be_for_one_run_only(server: StandIn) -> None:
    server.faults({"match": "file_stream", "run": "b", "status": 500})

    assert status_of(server) == 200


def test_a_rule_can_be_for_requests_that_contain_something(server: StandIn) -> None:
    server.faults({"match": "file_stream", "containing": "wandb-history.jsonl", "status": 500})

    assert server.ask("POST", STREAM, {}) == {"exitcode": None, "limits": {}}
    assert status_of(server) == 500


def test_a_rule_can_be_for_one_operation_or_for_all(server: StandIn) -> None:
    viewer = "query Viewer { viewer { username } }"
    server.faults({"match": "graphql:UpsertBucket", "status": 500})
    assert server.graphql(viewer)["data"]["viewer"]["username"] == "demo"

    for match in ("graphql:Viewer", "graphql", "*"):
        server.faults({"match": match, "status": 500})
        with pytest.raises(urllib.error.HTTPError):
            server.graphql(viewer)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"match": "file_stream"}, "a rule has one of"),
        ({"status": 500, "hang": True}, "a rule has one of"),
        ({"status": 42}, "status: 42"),
        ({"drop": "sometimes"}, "drop: 'sometimes'"),
        ({"slow": -1}, "slow: -1"),
        ({"stauts": 500}, "no 'stauts'"),
        ("500", "a rule is a JSON object"),
    ],
)
def test_a_rule_that_cannot_be_understood_is_refused(server: StandIn, rule: Any, complaint: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.faults(rule)

    assert complaint in json.load(refused.value)["error"]


@pytest.mark.parametrize(
    "rule",
    [
        {"match": "file_stream", "status": 500},
        {"match": "file_stream", "status": 429, "headers": {"Retry-After": "1"}},
        {"match": "file_stream", "drop": "before"},
        {"match": "file_stream", "drop": "reading"},
        {"match": "file_stream", "drop": "answering"},
        {"match": "graphql:UpsertBucket", "status": 500},
    ],
    ids=["500", "429", "dropped before", "dropped reading", "dropped answering", "upsert 500"],
)
def test_the_real_client_survives_what_passes(
    newest_wandb: Wandb, server: StandIn, segment: Path, rule: dict[str, Any]
) -> None:
    server.faults(rule | {"count": 1})

    newest_wandb.sync(segment, **QUICK_RETRIES)

    run = server.run("demo", "digits", "lost1")
    assert [row["i"] for row in run["history"]] == list(range(20))
    assert run["state"] == "finished"
    assert server.rules()[0]["used"] == 1


@pytest.mark.parametrize(
    "rule",
    [
        {"match": "file_stream", "status": 401},
        {"match": "file_stream", "status": 403},
        {"match": "file_stream", "status": 302},
        {"match": "file_stream", "html": True},
        {"match": "file_stream", "lose": True, "containing": "wandb-history.jsonl"},
    ],
    ids=["401", "403", "redirected", "captive portal", "lost"],
)
def test_the_real_client_says_that_it_synced_what_never_arrived(
    newest_wandb: Wandb, server: StandIn, segment: Path, rule: dict[str, Any]
) -> None:
    server.faults(rule)

    printed = newest_wandb.sync(segment)

    # This is why runferry asks the server itself.
    assert "Finished syncing" in printed
    assert list(segment.glob("*.synced")) != []
    assert stored_rows(server, "digits", "lost1") == 0
    assert server.run("demo", "digits", "lost1")["state"] == "running"


def test_lost_uploads_leave_the_run_without_files(newest_wandb: Wandb, server: StandIn, segment: Path) -> None:
    server.faults({"match": "storage", "lose": True})

    newest_wandb.sync(segment)

    run = server.run("demo", "digits", "lost1")
    assert (run["files"], run["history_line_count"], run["requests"]["storage"]) == ([], 20, 4)


def _wait_until(holds: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)

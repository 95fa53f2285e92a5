"""The stand-in where W&B's server is not as one would think: counts that lag, offsets that are rebased, limits."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from runferry.errors import ConfigError
from runferry_standin import running
from runferry_standin.assumptions import TURNED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runferry_standin import StandIn

HISTORY, EVENTS, OUTPUT = "wandb-history.jsonl", "wandb-events.jsonl", "output.log"
STREAM = "/files/demo/p/a/file_stream"
COUNTS = "historyLineCount eventsLineCount logLineCount"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with running(lag=0) as standin:
        announce(standin)
        yield standin


def announce(server: StandIn) -> None:
    server.graphql('mutation { upsertBucket(input: {name: "a", modelName: "p"}) { inserted } }')


def send(server: StandIn, offset: int, lines: list[str], file: str = HISTORY, **more: Any) -> None:
    server.ask("POST", STREAM, {"files": {file: {"offset": offset, "content": lines}}, **more})


def rows(*losses: float) -> list[str]:
    return [json.dumps({"_step": step, "loss": loss}) for step, loss in enumerate(losses)]


def losses(server: StandIn) -> list[Any]:
    return [row["loss"] for row in server.run("demo", "p", "a")["history"]]


def ask(server: StandIn, fields: str) -> dict[str, Any]:
    return server.graphql(f'{{ project(name: "p", entityName: "demo") {{ run(name: "a") {{ {fields} }} }} }}')["data"][
        "project"
    ]["run"]


def set_config(server: StandIn, config: str) -> None:
    wanted = '{name: "a", modelName: "p", config: $config}'
    server.graphql(
        f"mutation($config: JSONString) {{ upsertBucket(input: {wanted}) {{ inserted }} }}", {"config": config}
    )


def send_all(server: StandIn) -> None:
    send(server, 0, rows(3, 2, 1))
    send(server, 0, ['{"cpu": 1}'] * 2, EVENTS)
    send(server, 0, ["one"], OUTPUT)
    send(server, 0, ['{"_step": 2, "loss": 1}'], "wandb-summary.json")


def test_counts_and_summary_come_after_the_lag() -> None:
    with running(lag=5) as server:
        announce(server)
        send_all(server)

        early = ask(server, f"{COUNTS} summaryMetrics historyTail historyKeys")
        assert early == {
            "historyLineCount": 0,
            "eventsLineCount": 0,
            "logLineCount": 0,
            "summaryMetrics": "{}",
            "historyTail": "[]",
            "historyKeys": None,
        }
        # What is stored is there, whatever is said of it.
        assert losses(server) == [3, 2, 1]

        server.set_ahead(4.5)
        assert ask(server, COUNTS) == dict.fromkeys(COUNTS.split(), 0)
        server.set_ahead(6)
        late = ask(server, f"{COUNTS} summaryMetrics historyTail historyKeys")
        assert [late[name] for name in COUNTS.split()] == [3, 2, 1]
        assert json.loads(late["summaryMetrics"])["_step"] == late["historyKeys"]["lastStep"] == 2
        assert json.loads(json.loads(late["historyTail"])[0])["loss"] == 1


def test_each_write_shows_after_its_own_lag() -> None:
    with running(lag=5) as server:
        announce(server)
        send(server, 0, rows(1, 2))
        server.set_ahead(3)
        send(server, 2, rows(3))

        server.set_ahead(6)
        assert ask(server, "historyLineCount") == {"historyLineCount": 2}
        server.set_ahead(9)
        assert ask(server, "historyLineCount") == {"historyLineCount": 3}


@pytest.mark.parametrize(
    ("lag_of", "count", "summary"), [("counts", 0, '{"_step": 2, "loss": 1}'), ("summary", 3, "{}")]
)
def test_counts_can_lag_without_the_summary_and_the_other_way_round(
    server: StandIn, lag_of: str, count: int, summary: str
) -> None:
    server.behave(lag=60, lag_of=lag_of)
    send_all(server)

    assert ask(server, "historyLineCount summaryMetrics") == {"historyLineCount": count, "summaryMetrics": summary}


def test_a_resume_within_the_lag_writes_over_the_rows_before_it() -> None:
    """Of two segments sent close together the second is put where the first is (read: PR 12421 and PR 12668)."""
    with running(lag=60) as server:
        announce(server)
        send(server, 0, rows(1, 2, 3))
        offset = ask(server, "historyLineCount")["historyLineCount"]
        send(server, offset, rows(4, 5))

        assert losses(server) == [4, 5, 3]


def test_a_lag_for_all_tests_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_LAG", "2.5")
    with running() as server:
        assert server.ask("GET", "/standin/behaviour")["lag"] == 2.5
    with running(lag=0) as server:
        assert server.ask("GET", "/standin/behaviour")["lag"] == 0

    monkeypatch.setenv("STANDIN_LAG", "soon")
    with pytest.raises(ConfigError, match="STANDIN_LAG=soon: expected seconds"), running():
        pass


def test_a_gapped_offset_is_rebased_as_in_issue_12269(server: StandIn) -> None:
    """20 rows of a primary, 1 row of a second writer at offset 0, then 10 rows of the primary at its offset 20."""
    send(server, 0, rows(*range(20)))
    send(server, 0, rows(100))
    send(server, 20, rows(*range(20, 30)))

    assert losses(server) == [100, *range(20, 30), *range(11, 20)]
    assert ask(server, "historyLineCount") == {"historyLineCount": 20}
    # And the next of the primary goes behind them.
    send(server, 30, rows(30))
    assert losses(server)[11] == 30


def test_a_first_write_beyond_the_end_begins_at_the_start(server: StandIn) -> None:
    send(server, 7, rows(1, 2))
    send(server, 9, rows(3))

    assert losses(server) == [1, 2, 3]


def test_lines_sent_again_at_their_offset_replace_the_old_ones_and_the_next_follow(server: StandIn) -> None:
    send(server, 0, rows(1, 2, 3))
    send(server, 0, rows(4, 5, 6))
    send(server, 3, rows(7))

    assert losses(server) == [4, 5, 6, 7]


def test_a_line_of_the_console_is_rewritten_in_place(server: StandIn) -> None:
    send(server, 0, ["10 %", "a", "b"], OUTPUT)
    send(server, 0, ["99 %"], OUTPUT)
    send(server, 3, ["c"], OUTPUT)

    assert server.run("demo", "p", "a")["output"] == ["99 %", "a", "b", "c"]


def test_the_cursor_survives_a_restart(tmp_path: Any) -> None:
    data = tmp_path / "server.sqlite"
    with running(data=data) as server:
        announce(server)
        send(server, 0, rows(1, 2, 3))
        send(server, 0, rows(9))
    with running(data=data) as server:
        send(server, 3, rows(4))

        assert losses(server) == [9, 4, 3]


def test_more_than_ten_mebibytes_of_lines_are_refused_and_nothing_is_kept(server: StandIn) -> None:
    line = json.dumps({"_step": 0, "text": "x" * 2**20})
    with pytest.raises(urllib.error.HTTPError) as refused:
        send(server, 0, [line] * 10)

    assert refused.value.code == 413
    assert server.run("demo", "p", "a")["history_line_count"] == 0
    send(server, 0, [line] * 9)
    server.behave(largest_request=None)
    send(server, 9, [line] * 11)
    assert server.run("demo", "p", "a")["history_line_count"] == 20


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ({}, {"loss": float("nan"), "best": float("-inf"), "seed": 2**53 + 1}),
        ({"summary_nan": "null"}, {"loss": None, "best": None, "seed": 2**53 + 1}),
        ({"summary_nan": "text"}, {"loss": "NaN", "best": "-Infinity", "seed": 2**53 + 1}),
        ({"summary_nan": "text", "integers": "double"}, {"loss": "NaN", "best": "-Infinity", "seed": 2**53}),
    ],
)
def test_a_summary_may_come_back_otherwise(
    server: StandIn, behaviour: dict[str, str], expected: dict[str, Any]
) -> None:
    server.behave(**behaviour)
    send(server, 0, [f'{{"loss": NaN, "best": -Infinity, "seed": {2**53 + 1}}}'], "wandb-summary.json")

    summary = json.loads(ask(server, "summaryMetrics")["summaryMetrics"])

    assert json.dumps(summary) == json.dumps(expected)


def test_integers_of_rows_and_config_may_come_back_as_doubles(server: StandIn) -> None:
    server.behave(integers="double")
    config = json.dumps({"seed": {"value": 2**63 + 1}, "layers": {"value": [3, 2**60 + 1]}})
    set_config(server, config)
    send(server, 0, [f'{{"_step": 0, "n": {2**60 + 1}}}'])

    run = ask(server, "config history")

    assert json.loads(run["config"]) == {"seed": {"value": 2**63}, "layers": {"value": [3, 2**60]}}
    assert json.loads(run["history"][0])["n"] == 2**60


def test_a_summary_may_be_cut_at_four_dots(server: StandIn) -> None:
    server.behave(summary_dots=4)
    deep = {"a": {"b": {"c": {"d": {"e": 1, "f": {"g": 2}}}}}, "x": 1}
    send(server, 0, [json.dumps(deep)], "wandb-summary.json")

    assert json.loads(ask(server, "summaryMetrics")["summaryMetrics"]) == {"a": {"b": {"c": {"d": {"e": 1}}}}, "x": 1}


def test_a_list_of_runs_with_heavy_fields_takes_its_time(server: StandIn) -> None:
    for name in "bcde":
        server.graphql(f'mutation {{ upsertBucket(input: {{name: "{name}", modelName: "p"}}) {{ inserted }} }}')
    server.behave(heavy_run_seconds=0.1)

    def seconds(fields: str, first: int) -> float:
        begun = time.monotonic()
        server.graphql(f'{{ project(name: "p") {{ runs(first: {first}) {{ edges {{ node {{ {fields} }} }} }} }} }}')
        return time.monotonic() - begun

    assert seconds("name config", 5) >= 0.5
    assert 0.2 <= seconds("name summaryMetrics", 2) < 0.5
    assert seconds("name historyLineCount", 5) < 0.4


def test_a_page_has_a_thousand_runs_at_most(server: StandIn) -> None:
    server.behave(longest_page=2)
    for name in "bc":
        server.graphql(f'mutation {{ upsertBucket(input: {{name: "{name}", modelName: "p"}}) {{ inserted }} }}')

    page = server.graphql(
        '{ project(name: "p") { runs(first: 5000) { edges { node { name } } pageInfo { hasNextPage } } } }'
    )["data"]["project"]["runs"]

    assert [edge["node"]["name"] for edge in page["edges"]] == ["a", "b"]
    assert page["pageInfo"]["hasNextPage"]


def test_the_lag_can_be_only_in_what_a_resuming_client_is_told(server: StandIn) -> None:
    server.behave(lag=60, lag_of="resume")
    send_all(server)

    def counted(field: str) -> int:
        query = f'{{ model(name: "p", entityName: "demo") {{ {field}(name: "a") {{ historyLineCount }} }} }}'
        return server.graphql(query)["data"]["model"][field]["historyLineCount"]

    assert (counted("run"), counted("bucket")) == (3, 0)


@pytest.mark.parametrize(("resent", "kept"), [("ignored", [3, 2, 1, 5]), ("appended", [3, 2, 1, 4, 5])])
def test_a_line_sent_again_may_be_ignored_or_appended(server: StandIn, resent: str, kept: list[int]) -> None:
    server.behave(resent=resent)
    send(server, 0, rows(3, 2, 1))
    send(server, 1, rows(4))
    send(server, len(kept) - 1, rows(5))
    assert losses(server) == kept


def test_a_history_may_have_its_end_and_may_be_sampled_sooner(server: StandIn) -> None:
    send(server, 0, rows(3, 2, 1))

    def given() -> list[Any]:
        return [
            json.loads(row)["loss"] for row in ask(server, "history(minStep: 0, maxStep: 2, samples: 9)")["history"]
        ]

    assert given() == [3, 2]
    server.behave(history_end="inclusive")
    assert given() == [3, 2, 1]
    server.behave(history_end="inclusive", longest_history=2)
    assert given() == [3, 1]


@pytest.mark.parametrize(
    "wrap", [lambda names: {"name": {"$in": names}}, lambda names: {"$or": [{"name": {"$in": names}}]}]
)
def test_a_question_may_have_so_many_names(server: StandIn, wrap: Any) -> None:
    server.behave(most_names=2)
    query = 'query($filters: JSONString) { project(name: "p") { runs(filters: $filters) { edges { node { name } } } } }'
    found = server.graphql(query, {"filters": json.dumps(wrap(["a", "b"]))})
    assert len(found["data"]["project"]["runs"]["edges"]) == 1
    with pytest.raises(urllib.error.HTTPError, match="400"):
        server.graphql(query, {"filters": json.dumps(wrap(["a", "b", "c"]))})


def test_a_state_may_be_kept_after_the_end(server: StandIn) -> None:
    server.behave(states="kept")
    server.ask("POST", STREAM, {"complete": True, "exitcode": 0})
    send(server, 0, rows(3))
    server.graphql('mutation { upsertBucket(input: {name: "a", modelName: "p", state: "crashed"}) { inserted } }')
    server.ask("POST", STREAM, {"complete": True, "exitcode": 1})
    assert ask(server, "state") == {"state": "finished"}
    server.behave()
    send(server, 1, rows(2))
    assert ask(server, "state") == {"state": "running"}


def test_rows_may_be_read_late(server: StandIn) -> None:
    server.behave(rows_lag=5)
    send(server, 0, rows(3, 2))
    server.set_ahead(3)
    send(server, 2, rows(1))
    fields = "historyLineCount history(minStep: 0, maxStep: 9, samples: 9)"

    def given() -> tuple[int, int]:
        found = ask(server, fields)
        return found["historyLineCount"], len(found["history"])

    assert given() == (3, 0)
    server.set_ahead(6)
    assert given() == (3, 2)
    server.set_ahead(9)
    assert given() == (3, 3)


def test_files_may_be_listed_late(server: StandIn) -> None:
    wanted = '{entityName: "demo", projectName: "p", runName: "a", files: ["f.txt"]}'
    made = server.graphql(f"mutation {{ createRunFiles(input: {wanted}) {{ files {{ uploadUrl }} }} }}")
    url = made["data"]["createRunFiles"]["files"][0]["uploadUrl"]
    urllib.request.urlopen(urllib.request.Request(url, b"text", method="PUT")).close()
    server.behave(files_lag=5)
    assert ask(server, "fileCount files { edges { node { name } } }") == {"fileCount": 0, "files": {"edges": []}}
    server.set_ahead(6)
    assert ask(server, "fileCount") == {"fileCount": 1}


def test_each_assumption_can_be_turned_and_turned_back(server: StandIn) -> None:
    as_wandbs = server.ask("GET", "/standin/behaviour")
    for name in TURNED:
        server.turn(name)
        assert server.rules() != [] or server.ask("GET", "/standin/behaviour") != as_wandbs, name
    server.turn()
    assert (server.rules(), server.ask("GET", "/standin/behaviour")) == ([], as_wandbs)
    with pytest.raises(KeyError):
        server.turn("nothing")


@pytest.mark.parametrize("wanted", [{"lags": 1}, {"lag": -1}, {"gaps": "closed"}, {"lag": None}])
def test_a_behaviour_that_there_is_not_is_refused(server: StandIn, wanted: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.behave(**wanted)

    assert refused.value.code == 400
    assert next(iter(wanted)) in refused.value.read().decode()


def test_deep_json_is_no_error_of_the_server(server: StandIn) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    set_config(server, f'{{"deep": {{"value": {deep}}}}}')
    send(server, 0, [f'{{"_step": 0, "deep": {deep}}}'])
    send(server, 0, [f'{{"deep": {deep}}}'], "wandb-summary.json")

    server.behave(integers="double", summary_nan="null", summary_dots=4)
    assert deep in ask(server, "config")["config"]
    assert ask(server, "wandbConfig summaryMetrics history systemMetrics historyKeys")["wandbConfig"] == "{}"
    assert server.run("demo", "p", "a")["history_line_count"] == 1
    query = '{ project(name: "p") { runCount(filters: "{\\"config.deep\\": 1}") } }'
    assert server.graphql(query)["data"]["project"]["runCount"] == 0
    # And as the request itself.
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("POST", "/graphql", f'{{"query": "{{ viewer {{ id }} }}", "variables": {{"a": {deep}}}}}')
    assert connection.getresponse().status == 400
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.graphql("{ viewer " * 10_000 + "}" * 10_000)
    assert refused.value.code == 400


def test_a_second_user_has_a_key_an_entity_and_teams(server: StandIn) -> None:
    key = "ada0" * 10
    server.add_user("ada", key, ["lab"])
    theirs = type(server)(server.url, key)

    viewer = theirs.graphql("{ viewer { username teams { edges { node { name isTeam } } } } }")["data"]["viewer"]
    theirs.graphql('mutation { upsertBucket(input: {name: "hers", modelName: "p"}) { inserted } }')

    assert viewer["username"] == "ada"
    assert [edge["node"] for edge in viewer["teams"]["edges"]] == [
        {"name": "ada", "isTeam": False},
        {"name": "lab", "isTeam": True},
    ]
    assert server.runs("ada", "p") == ["hers"]
    assert server.runs("demo", "p") == ["a"]
    with pytest.raises(urllib.error.HTTPError):
        type(server)(server.url, "nobody" * 10).graphql("{ viewer { username } }")

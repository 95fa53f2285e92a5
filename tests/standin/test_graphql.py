"""GraphQL asked directly, as a verifier of runs does."""

from __future__ import annotations

import json
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest

from runferry_standin.graphql import RESOLVERS, schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin import StandIn

    Upsert = Callable[..., dict[str, Any]]

UPSERT = """
mutation UpsertBucket($name: String, $project: String, $entity: String, $group: String, $tags: [String!],
                      $config: JSONString, $summaryMetrics: JSONString, $state: String) {
  upsertBucket(input: {name: $name, modelName: $project, entityName: $entity, groupName: $group, tags: $tags,
                       config: $config, summaryMetrics: $summaryMetrics, state: $state}) {
    bucket { id name displayName historyLineCount project { name entity { name } } }
    inserted
  }
}
"""

RUNS = """
query($project: String!, $entity: String!, $filters: JSONString, $first: Int, $after: String, $order: String) {
  project(name: $project, entityName: $entity) {
    runCount(filters: $filters)
    runs(filters: $filters, first: $first, after: $after, order: $order) {
      edges { node { id name displayName state historyLineCount historyKeys summaryMetrics config
                     group tags createdAt } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""


@pytest.fixture
def upsert(server: StandIn) -> Upsert:
    def call(name: str, **fields: Any) -> dict[str, Any]:
        variables = {"name": name, "project": "digits", "entity": "demo"} | fields
        return server.graphql(UPSERT, variables)["data"]["upsertBucket"]

    return call


def stream(server: StandIn, run: str, request: dict[str, Any]) -> Any:
    return server.ask("POST", f"/files/demo/digits/{run}/file_stream", request)


def history(*steps: int, offset: int = 0) -> dict[str, Any]:
    lines = [json.dumps({"_step": step, "loss": 1 / (step + 1)}) for step in steps]
    return {"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}}


def names(server: StandIn, filters: Any = None, **variables: Any) -> list[str]:
    wanted = {"project": "digits", "entity": "demo", "filters": json.dumps(filters) if filters else None} | variables
    edges = server.graphql(RUNS, wanted)["data"]["project"]["runs"]["edges"]
    return [edge["node"]["name"] for edge in edges]


def test_the_first_run_of_a_project_makes_the_project(server: StandIn, upsert: Upsert) -> None:
    assert server.graphql(RUNS, {"project": "digits", "entity": "demo"})["data"]["project"] is None

    created = upsert("a")

    assert created["inserted"] is True
    assert created["bucket"]["project"] == {"name": "digits", "entity": {"name": "demo"}}
    assert upsert("a")["inserted"] is False
    assert names(server) == ["a"]


def test_an_upsert_changes_what_it_names_and_nothing_else(server: StandIn, upsert: Upsert) -> None:
    upsert("a", group="g", tags=["x"], config='{"lr": {"value": 1}}')
    upsert("a", config='{"lr": {"value": 2}}')

    run = server.run("demo", "digits", "a")
    assert (run["group"], run["tags"], run["config"], run["state"]) == ("g", ["x"], {"lr": 2}, "running")


def test_many_runs_are_verified_in_pages_of_one_query(server: StandIn, upsert: Upsert) -> None:
    wanted = [f"run{i:02}" for i in range(7)]
    for name in [*wanted, "another"]:
        upsert(name, summaryMetrics='{"loss": 0.5}')
        stream(server, name, history(0, 1, 2) | {"complete": True, "exitcode": 0})
    variables = {
        "project": "digits",
        "entity": "demo",
        "filters": json.dumps({"name": {"$in": wanted}}),
        "first": 3,
        "after": None,
    }

    found: list[dict[str, Any]] = []
    pages = 0
    while True:
        runs = server.graphql(RUNS, variables)["data"]["project"]["runs"]
        found += [edge["node"] for edge in runs["edges"]]
        pages += 1
        if not runs["pageInfo"]["hasNextPage"]:
            break
        variables["after"] = runs["pageInfo"]["endCursor"]

    assert pages == 3
    assert [run["name"] for run in found] == wanted
    assert {run["historyLineCount"] for run in found} == {3}
    assert {run["historyKeys"]["lastStep"] for run in found} == {2}
    assert {run["state"] for run in found} == {"finished"}
    assert json.loads(found[0]["summaryMetrics"]) == {"loss": 0.5}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"name": "a"}, ["a"]),
        ({"name": {"$in": ["a", "c", "nothing"]}}, ["a", "c"]),
        ({"name": {"$nin": ["a"]}}, ["b", "c"]),
        ({"state": "finished"}, ["a"]),
        ({"tags": "x"}, ["a", "b"]),
        ({"group": {"$ne": "g"}}, ["b", "c"]),
        ({"config.lr": 0.1}, ["a"]),
        ({"config.lr.value": {"$gt": 0.1}}, ["b"]),
        ({"config.lr": {"$exists": False}}, ["c"]),
        ({"summary_metrics.loss": {"$lte": 1}}, ["a"]),
        ({"$or": [{"name": "a"}, {"name": "b"}]}, ["a", "b"]),
        ({"$and": [{"tags": "x"}, {"name": {"$not": {"$regex": "^a"}}}]}, ["b"]),
        ({"displayName": {"$regex": "^run-"}}, ["a", "b", "c"]),
        ({}, ["a", "b", "c"]),
    ],
)
def test_filters_choose_runs(server: StandIn, upsert: Upsert, filters: Any, expected: list[str]) -> None:
    upsert(
        "a", state="finished", tags=["x", "y"], group="g", config='{"lr": {"value": 0.1}}', summaryMetrics='{"loss": 1}'
    )
    upsert("b", tags=["x"], config='{"lr": {"value": 0.2}}', summaryMetrics='{"loss": 2}')
    upsert("c")

    assert names(server, filters) == expected


def test_runs_come_in_the_order_that_was_asked_for(server: StandIn, upsert: Upsert) -> None:
    for name, loss in (("a", 2), ("b", 3), ("c", 1)):
        upsert(name, summaryMetrics=json.dumps({"loss": loss}))

    assert names(server) == ["a", "b", "c"]
    assert names(server, order="-created_at") == ["c", "b", "a"]
    assert names(server, order="+summary_metrics.loss") == ["c", "a", "b"]


def test_an_unknown_filter_is_refused_by_name(server: StandIn, upsert: Upsert) -> None:
    upsert("a")

    with pytest.raises(urllib.error.HTTPError) as refused:
        names(server, {"name": {"$near": 1}})

    assert refused.value.code == 400
    assert b"$near" in refused.value.read()


def test_a_field_that_is_not_there_is_refused_as_invalid(server: StandIn) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.graphql("query { viewer { shoeSize } }")

    assert refused.value.code == 400
    error = json.load(refused.value)["errors"][0]
    assert error["message"] == "Cannot query field 'shoeSize' on type 'User'."


def test_variables_of_a_wrong_type_are_refused_as_invalid(server: StandIn) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.graphql("query($n: Int) { models(first: $n) { edges { cursor } } }", {"n": "three"})

    assert refused.value.code == 400


def test_clients_can_ask_what_the_server_knows(server: StandIn) -> None:
    asked = server.graphql('{ __type(name: "UpsertBucketInput") { inputFields { name } } }')

    fields = {field["name"] for field in asked["data"]["__type"]["inputFields"]}
    assert {"name", "modelName", "entityName", "summaryMetrics"} <= fields


def test_the_viewer_is_the_demo_user(server: StandIn) -> None:
    viewer = server.graphql("{ viewer { username entity } }")["data"]["viewer"]

    assert viewer == {"username": "demo", "entity": "demo"}


def test_the_resume_status_says_where_to_go_on(server: StandIn, upsert: Upsert) -> None:
    query = """
    query RunResumeStatus($name: String!) {
      model(name: "digits", entityName: "demo") {
        bucket(name: $name, missingOk: true) {
          historyLineCount eventsLineCount logLineCount historyTail eventsTail wandbConfig(keys: ["t"])
        }
      }
    }
    """
    upsert("a", config='{"_wandb": {"value": {"t": {"1": [1]}, "m": []}}, "lr": {"value": 1}}')
    request = history(0, 1, 2)
    request["files"]["output.log"] = {"offset": 0, "content": ["one", "two"]}
    stream(server, "a", request)

    bucket = server.graphql(query, {"name": "a"})["data"]["model"]["bucket"]

    assert (bucket["historyLineCount"], bucket["eventsLineCount"], bucket["logLineCount"]) == (3, 0, 2)
    assert json.loads(json.loads(bucket["historyTail"])[-1])["_step"] == 2
    assert json.loads(bucket["eventsTail"]) == []
    assert json.loads(bucket["wandbConfig"]) == {"t": {"1": [1]}}
    assert server.graphql(query, {"name": "nothing"})["data"]["model"]["bucket"] is None


def test_a_run_can_be_deleted(server: StandIn, upsert: Upsert) -> None:
    run = upsert("a")["bucket"]["id"]
    stream(server, "a", history(0, 1))

    server.graphql("mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", {"id": run})

    assert names(server) == []
    assert upsert("a")["bucket"]["historyLineCount"] == 0


def test_what_is_not_a_number_stays_readable(server: StandIn, upsert: Upsert) -> None:
    upsert("a")
    line = '{"_step": 0, "loss": NaN, "best": -Infinity}'
    stream(server, "a", {"files": {"wandb-history.jsonl": {"offset": 0, "content": [line]}}})
    query = """
    query($spec: JSONString!) {
      project(name: "digits", entityName: "demo") { run(name: "a") { history sampledHistory(specs: [$spec]) } }
    }
    """

    run = server.graphql(query, {"spec": '{"keys": ["loss", "best"]}'})["data"]["project"]["run"]

    assert [json.loads(row) for row in run["history"]] == [{"_step": 0, "loss": "NaN", "best": "-Infinity"}]
    assert run["sampledHistory"] == [[{"loss": "NaN", "best": "-Infinity"}]]


def test_every_resolver_belongs_to_a_field_of_the_schema() -> None:
    kinds = schema().type_map

    for name in RESOLVERS:
        kind, _, field = name.partition(".")
        assert field in kinds[kind].fields  # type: ignore[attr-defined]

"""Names that a run gives to a version of an artifact that is there already: they must arrive, too."""

from __future__ import annotations

import pytest

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.system.files import write_json
from support.sync_processes import QUICK
from support.written_runs import receipt

pytestmark = [pytest.mark.usefixtures("connected"), pytest.mark.slow]

SCRIPT = """
import pathlib, sys, wandb
pathlib.Path("weights.txt").write_text("the same")
with wandb.init() as run:
    run.log({"loss": 0.5})
    artifact = wandb.Artifact("net", type="model")
    artifact.add_file("weights.txt")
    run.log_artifact(artifact, aliases=sys.argv[1].split(","), tags=sys.argv[2].split(","))
"""


def _run(wandb, results, name: str, aliases: str, tags: str) -> RunFolder:
    folder = RunFolder(results / "experiment" / name)
    write_json(folder.run_file, {"id": name, "name": name, "wandb": {"project": "tests", "entity": None}})
    offline = {"WANDB_MODE": "offline", "WANDB_DIR": str(folder.path), "WANDB_DATA_DIR": str(folder.data_folder)}
    wandb.run(SCRIPT, aliases, tags, WANDB_RUN_ID=name, WANDB_PROJECT="tests", **offline)
    return folder


def _labels(server) -> tuple[set[str], set[str]]:
    query = """{ project(name: "tests", entityName: "demo") { artifactType(name: "model") {
      artifactCollection(name: "net") { artifacts(first: 9) { edges { node { aliases { alias } tags { name } } } } }
    } } }"""
    answer = server.ask("POST", "/graphql", {"query": query})
    kind = answer["data"]["project"]["artifactType"]
    nodes = [edge["node"] for edge in kind["artifactCollection"]["artifacts"]["edges"]]
    aliases = {alias["alias"] for node in nodes for alias in node["aliases"]}
    return aliases, {tag["name"] for node in nodes for tag in node["tags"]}


def test_a_tag_and_an_alias_of_a_version_that_another_run_logged_first_are_asked_for(newest_wandb, server, tmp_path):
    first = _run(newest_wandb, tmp_path / "results", "first", "one", "red")
    second = _run(newest_wandb, tmp_path / "results", "second", "two", "blue")
    assert sync([first], QUICK)[0].problem is None
    # The version is there, and what adds to it is refused.
    server.faults(
        {"match": "graphql:UpdateArtifact", "status": 400}, {"match": "graphql:CreateArtifact", "status": 400}
    )
    problem = sync([second], QUICK)[0].problem or ""
    assert "the tag blue of the artifact net is not on the server" in problem
    assert "the alias two of the artifact net is not on the server" in problem
    assert receipt(second) is None
    server.faults()
    assert sync([second], QUICK)[0].problem is None
    aliases, tags = _labels(server)
    assert {"one", "two"} <= aliases
    assert {"red", "blue"} <= tags


def test_an_alias_that_went_on_to_a_later_version_is_not_missing(newest_wandb, server, tmp_path):
    first = _run(newest_wandb, tmp_path / "results", "first", "best", "red")
    assert sync([first], QUICK)[0].problem is None
    first.receipt_file.unlink()
    other = tmp_path / "other"
    other.mkdir()
    script = SCRIPT.replace("the same", "something else")
    newest_wandb.run(script, "best", "blue", WANDB_PROJECT="tests", WANDB_DIR=str(other))
    assert sync([first], QUICK)[0].problem is None

"""What the newest wandb client does with artifacts, beyond logging one: its own calls, and what it finds afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runferry_standin import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runferry_standin import StandIn

PRELUDE = """
import json, pathlib, sys, wandb
def file(name, text):
    pathlib.Path(name).write_text(text)
    return name
def files(artifact):
    folder = pathlib.Path(artifact.download())
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
def answer(**found):
    print("ANSWER", json.dumps(found))
"""


@pytest.fixture
def server() -> Iterator[StandIn]:
    with running(lag=0) as standin:
        yield standin


def client(server: StandIn, folder: Path, script: str) -> dict[str, Any]:
    """Run a script with wandb as its client and return what it answers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= server.environment | {
        "HOME": str(folder),
        "WANDB_PROJECT": "p",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    return json.loads(line.removeprefix("ANSWER "))


def test_a_tagged_artifact_and_the_same_one_by_another_run(server: StandIn, tmp_path: Path) -> None:
    found = client(
        server,
        tmp_path,
        """
for name, tag, alias in (("first", "good", "one"), ("second", "better", "two")):
    with wandb.init(id=name) as run:
        artifact = wandb.Artifact("data", type="dataset")
        artifact.add_file(file("a.txt", "the same"))
        run.log_artifact(artifact, tags=[tag], aliases=[alias]).wait()
api = wandb.Api()
artifact = api.artifact("p/data:two")
answer(
    logged={name: [each.name for each in api.run(f"p/{name}").logged_artifacts()] for name in ("first", "second")},
    by=artifact.logged_by().id, tags=sorted(artifact.tags), aliases=sorted(artifact.aliases),
    commit=len(artifact.commit_hash),
)
""",
    )

    assert found == {
        "logged": {"first": ["data:v0"], "second": ["data:v0"]},
        "by": "first",
        "tags": ["better", "good"],
        "aliases": ["latest", "one", "two"],
        "commit": 20,
    }
    for run in ("first", "second"):
        (artifact,) = server.run("demo", "p", run)["artifacts"]
        assert (artifact["name"], artifact["logged_by"]) == ("data:v0", "first")


def test_an_incremental_artifact_takes_over_the_files_of_its_base(server: StandIn, tmp_path: Path) -> None:
    found = client(
        server,
        tmp_path,
        """
with wandb.init() as run:
    for name, text in (("a.txt", "1"), ("b.txt", "2"), ("a.txt", "3")):
        artifact = wandb.Artifact("data", type="dataset", incremental=True)
        artifact.add_file(file(name, text))
        run.log_artifact(artifact).wait()
api = wandb.Api()
versions = [api.artifact(f"p/data:v{i}") for i in range(3)]
versions[2].download(root="checked")
versions[2].verify(root="checked")
answer(files=[files(each) for each in versions])
""",
    )

    assert found["files"] == [{"a.txt": "1"}, {"a.txt": "1", "b.txt": "2"}, {"a.txt": "3", "b.txt": "2"}]


def test_a_distributed_artifact_has_the_files_of_all_its_runs(server: StandIn, tmp_path: Path) -> None:
    found = client(
        server,
        tmp_path,
        """
for rank in range(2):
    with wandb.init(group="g", id=f"rank{rank}") as run:
        artifact = wandb.Artifact("data", type="dataset")
        artifact.add_file(file(f"{rank}.txt", str(rank)))
        run.upsert_artifact(artifact, distributed_id="g")
with wandb.init(group="g", id="last") as run:
    artifact = wandb.Artifact("data", type="dataset")
    artifact.add_file(file("last.txt", "done"))
    run.finish_artifact(artifact, distributed_id="g").wait()
versions = list(wandb.Api().artifacts("dataset", "p/data"))
answer(versions=[each.name for each in versions], files=files(versions[0]))
""",
    )

    assert found == {"versions": ["data:v0"], "files": {"0.txt": "0", "1.txt": "1", "last.txt": "done"}}


def test_an_artifact_is_linked_ordered_and_deleted(server: StandIn, tmp_path: Path) -> None:
    found = client(
        server,
        tmp_path,
        """
with wandb.init() as run:
    for i in range(3):
        artifact = wandb.Artifact("data", type="dataset")
        artifact.add_file(file("a.txt", str(i)))
        run.log_artifact(artifact).wait()
    run.link_artifact(run.use_artifact("data:v1"), "best", aliases=["chosen"])
api = wandb.Api()
linked = api.artifact("p/best:chosen")
def versions(order):
    return [each.version for each in api.artifacts("dataset", "p/data", order=order)]
orders = {order: versions(order) for order in ("+createdAt", "-createdAt")}
try:
    api.artifact("p/data:v2").delete()
    refused = False
except Exception:
    refused = True
api.artifact("p/data:v2").delete(delete_aliases=True)
before = [linked.name, linked.source_name, linked.is_link, files(linked)]
linked.unlink()
exists = {name: api.artifact_exists(name) for name in ("p/best:v0", "p/data:v1", "p/data:v2")}
answer(before=before, orders=orders, refused=refused, exists=exists, latest=api.artifact("p/data:latest").version)
""",
    )

    assert found == {
        "before": ["best:chosen", "data:v1", True, {"a.txt": "1"}],
        "orders": {"+createdAt": ["v0", "v1", "v2"], "-createdAt": ["v2", "v1", "v0"]},
        "refused": True,
        "exists": {"p/best:v0": False, "p/data:v1": True, "p/data:v2": False},
        "latest": "v1",
    }


def test_a_file_of_another_artifact_is_referred_to(server: StandIn, tmp_path: Path) -> None:
    found = client(
        server,
        tmp_path,
        """
with wandb.init() as run:
    upstream = wandb.Artifact("upstream", type="dataset")
    upstream.add_file(file("a.txt", "from above"))
    run.log_artifact(upstream).wait()
    downstream = wandb.Artifact("downstream", type="dataset")
    downstream.add_reference(wandb.Api().artifact("p/upstream:v0").get_entry("a.txt"), name="b.txt")
    run.log_artifact(downstream).wait()
answer(files=files(wandb.Api().artifact("p/downstream:v0")))
""",
    )

    assert found == {"files": {"b.txt": "from above"}}


def test_the_viewers_teams(server: StandIn, tmp_path: Path) -> None:
    server.add_user("ada", server.key, ["lab"])

    found = client(
        server,
        tmp_path,
        """
api = wandb.Api()
members = [each.username for each in api.team("lab").members]
answer(teams=api.viewer.teams, entity=api.default_entity, members=members)
""",
    )

    assert found == {"teams": ["ada", "lab"], "entity": "ada", "members": ["ada"]}


def test_a_tag_that_the_server_does_not_take_is_refused_with_the_artifact(server: StandIn, tmp_path: Path) -> None:
    found = client(
        server,
        tmp_path,
        """
with wandb.init(id="first") as run:
    artifact = wandb.Artifact("data", type="dataset")
    artifact.add_file(file("a.txt", "the same"))
    run.log_artifact(artifact).wait()
with wandb.init(id="second") as run:
    artifact = wandb.Artifact("data", type="dataset")
    artifact.add_file(file("a.txt", "the same"))
    try:
        run.log_artifact(artifact, aliases=["x" * 129]).wait()
        refused = False
    except Exception:
        refused = True
answer(refused=refused, aliases=wandb.Api().artifact("p/data:v0").aliases)
""",
    )

    assert found == {"refused": True, "aliases": ["latest"]}
    assert server.run("demo", "p", "second")["artifacts"] == []


def test_a_collection_is_renamed_described_tagged_and_deleted(server: StandIn, tmp_path: Path) -> None:
    found = client(
        server,
        tmp_path,
        """
with wandb.init() as run:
    artifact = wandb.Artifact("data", type="dataset")
    artifact.add_file(file("a.txt", "1"))
    run.log_artifact(artifact).wait()
api = wandb.Api()
collection = api.artifact_collection("dataset", "p/data")
collection.name, collection.description, collection.tags, collection.type = "renamed", "what it is", ["good"], "other"
collection.save()
again = api.artifact_collection("other", "p/renamed")
found = [again.name, again.description, list(again.tags), again.type]
again.delete()
answer(found=found, exists=wandb.Api().artifact_exists("p/renamed:v0"))
""",
    )

    assert found == {"found": ["renamed", "what it is", ["good"], "other"], "exists": False}

"""What a client changes on artifact collections, and which artifacts it links into portfolios."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runferry_standin import artifacts
from runferry_standin.artifact_names import aliases_in, tags_in
from runferry_standin.collection_fields import membership, tags
from runferry_standin.problems import NotFoundError
from runferry_standin.runs import find_project, make_project
from runferry_standin.store import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.context import Context
    from runferry_standin.store import Record


def _link(_: Any, context: Context, wanted: Record) -> Record:
    """Link an artifact into a portfolio, which is made when there is none, and give it the next version there.

    That an artifact that is linked again keeps its version is assumed.
    """
    store = context.store
    if wanted.get("artifact_id"):
        artifact = artifacts.artifact_by_id(store, wanted["artifact_id"])
    else:
        artifact = store.row(
            "SELECT * FROM artifacts WHERE client_id = ? ORDER BY number DESC LIMIT 1", wanted.get("client_id")
        )
    if artifact is None or artifact["state"] != artifacts.COMMITTED:
        message = "the artifact to link is not there, or not committed"
        raise NotFoundError(message)
    own = artifacts.collection_by_number(store, artifact["collection"])
    assert own is not None
    project = make_project(store, wanted.get("entity_name") or context.account.name, wanted.get("project_name"))
    portfolio = artifacts.make_collection(
        store, project, wanted["artifact_portfolio_name"], own["type"], portfolio=True
    )
    store.write(
        "INSERT OR IGNORE INTO links (collection, artifact, version_index, created_at)"
        " VALUES (?, ?, (SELECT coalesce(max(version_index) + 1, 0) FROM links WHERE collection = ?), ?)",
        *(portfolio["number"], artifact["number"], portfolio["number"], store.now()),
    )
    for alias in {*aliases_in(wanted), "latest"}:
        artifacts.set_alias(store, portfolio, alias, artifact)
    member = membership(portfolio, artifact, context)
    return {"version_index": member["version_index"], "artifact_membership": member}


def _unlink(_: Any, context: Context, wanted: Record) -> Record:
    artifact = artifacts.artifact_by_id(context.store, wanted["artifact_id"])
    portfolio = number_of("ArtifactCollection", wanted["artifact_portfolio_id"])
    for table in ("links", "aliases"):
        context.store.write(f"DELETE FROM {table} WHERE collection = ? AND artifact = ?", portfolio, artifact["number"])
    return {"success": True}


def _delete_collection(_: Any, context: Context, wanted: Record) -> Record:
    """Delete a sequence with its artifacts, or a portfolio with its links."""
    collection = _existing(context, wanted)
    context.store.write("DELETE FROM collections WHERE number = ?", collection["number"])
    return {"artifact_collection": collection | {"state": "DELETED"}}


def _update(_: Any, context: Context, wanted: Record) -> Record:
    collection = _existing(context, wanted)
    for column in ("name", "description"):
        if wanted.get(column) is not None:
            _set(context, collection, column, wanted[column])
    return {"artifact_collection": artifacts.collection_by_number(context.store, collection["number"])}


def _move(_: Any, context: Context, wanted: Record) -> Record:
    """Give a sequence another artifact type."""
    collection = _existing(context, wanted)
    _set(context, collection, "type", wanted["destination_artifact_type_name"])
    return {"artifact_collection": artifacts.collection_by_number(context.store, collection["number"])}


def _add_tags(_: Any, context: Context, wanted: Record) -> Record:
    collection = _named(context, wanted)
    kept: list[str] = json.loads(collection["tags"])
    kept += [tag for tag in tags_in(wanted) if tag not in kept]
    _set(context, collection, "tags", json.dumps(kept))
    return {"tags": tags(collection | {"tags": json.dumps(kept)}, context)}


def _delete_tags(_: Any, context: Context, wanted: Record) -> Record:
    collection = _named(context, wanted)
    kept = [tag for tag in json.loads(collection["tags"]) if tag not in tags_in(wanted)]
    _set(context, collection, "tags", json.dumps(kept))
    return {"success": True}


def _set(context: Context, collection: Record, column: str, value: str) -> None:
    context.store.write(f"UPDATE collections SET {column} = ? WHERE number = ?", value, collection["number"])


def _existing(context: Context, wanted: Record) -> Record:
    opaque: str = wanted.get("artifact_sequence_id") or wanted.get("artifact_portfolio_id") or ""
    collection = artifacts.collection_by_number(context.store, number_of("ArtifactCollection", opaque))
    if collection is None:
        message = f"artifact collection {opaque} not found"
        raise NotFoundError(message)
    return collection


def _named(context: Context, wanted: Record) -> Record:
    project = find_project(context.store, wanted["entity_name"], wanted["project_name"])
    name = wanted["artifact_collection_name"]
    collection = project and artifacts.collection_by_name(context.store, project, name)
    if not collection:
        message = f"artifact collection {wanted['entity_name']}/{wanted['project_name']}/{name} not found"
        raise NotFoundError(message)
    return collection


RESOLVERS: dict[str, Callable[..., Any]] = {
    "Mutation.linkArtifact": _link,
    "Mutation.unlinkArtifact": _unlink,
    "Mutation.updateArtifactSequence": _update,
    "Mutation.updateArtifactPortfolio": _update,
    "Mutation.moveArtifactSequence": _move,
    "Mutation.deleteArtifactSequence": _delete_collection,
    "Mutation.deleteArtifactPortfolio": _delete_collection,
    "Mutation.createArtifactCollectionTagAssignments": _add_tags,
    "Mutation.deleteArtifactCollectionTagAssignments": _delete_tags,
}

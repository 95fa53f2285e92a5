"""What a client changes on artifacts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runferry_standin import artifacts, manifests
from runferry_standin.artifact_fields import artifact_file
from runferry_standin.artifact_names import tags_in
from runferry_standin.connections import connection
from runferry_standin.mutations import existing_run
from runferry_standin.problems import NotFoundError
from runferry_standin.runs import find_project
from runferry_standin.store import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.context import Context
    from runferry_standin.store import Record


def _create_manifest(_: Any, context: Context, wanted: Record) -> Record:
    artifact = artifacts.artifact_by_id(context.store, wanted["artifact_id"])
    return {"artifact_manifest": manifests.create(context.store, artifact, wanted)}


def _update_manifest(_: Any, context: Context, wanted: Record) -> Record:
    store = context.store
    number = number_of("ArtifactManifest", wanted["artifact_manifest_id"])
    if wanted.get("digest") is not None:
        store.write("UPDATE manifests SET digest = ? WHERE number = ?", wanted["digest"], number)
    manifest = store.row("SELECT * FROM manifests WHERE number = ?", number)
    if manifest is None:
        message = f"artifact manifest {wanted['artifact_manifest_id']} not found"
        raise NotFoundError(message)
    return {"artifact_manifest": manifest}


def _create_files(_: Any, context: Context, wanted: Record) -> Record:
    store = context.store
    files: list[Record] = []
    for each in wanted["artifact_files"]:
        artifact = artifacts.artifact_by_id(store, each["artifact_id"])
        store.write(
            "INSERT OR REPLACE INTO artifact_files (artifact, name, md5, updated_at) VALUES (?, ?, ?, ?)",
            *(artifact["number"], each["name"], each["md5"], store.now()),
        )
        stored = store.row(
            "SELECT * FROM artifact_files WHERE artifact = ? AND name = ?", artifact["number"], each["name"]
        )
        assert stored is not None
        # Sent along with the content, so that what was damaged on the way is refused.
        headers = {"upload_headers": [f"Content-MD5:{each['md5']}"]}
        files.append(artifact_file(each["name"], stored) | headers)
    return {"files": connection(files)}


def _update_artifact(_: Any, context: Context, wanted: Record) -> Record:
    store = context.store
    artifact = artifacts.artifact_by_id(store, wanted["artifact_id"])
    tags = [tag for tag in json.loads(artifact["tags"]) if tag not in tags_in(wanted, "tags_to_delete")]
    tags += [tag for tag in tags_in(wanted, "tags_to_add") if tag not in tags]
    changes = {"tags": json.dumps(tags), "updated_at": store.now()}
    for column in ("description", "metadata", "ttl_duration_seconds"):
        if wanted.get(column) is not None:
            changes[column] = wanted[column]
    columns = ", ".join(f"{column} = ?" for column in changes)
    store.write(f"UPDATE artifacts SET {columns} WHERE number = ?", *changes.values(), artifact["number"])
    if wanted.get("aliases") is not None:
        store.write(
            "DELETE FROM aliases WHERE artifact = ? AND collection = ?", artifact["number"], artifact["collection"]
        )
        _set_aliases(context, artifact, wanted["aliases"])
    return {"artifact": artifacts.artifact_by_id(store, wanted["artifact_id"])}


def _set_aliases(context: Context, artifact: Record, aliases: list[Record]) -> None:
    for alias in aliases:
        artifacts.set_alias(context.store, _collection_named(context, artifact, alias), alias["alias"], artifact)


def _collection_named(context: Context, artifact: Record, alias: Record) -> Record:
    """Return the collection that an alias' input names: the artifact's own, or a portfolio that it is linked to."""
    own = artifacts.collection_by_number(context.store, artifact["collection"])
    assert own is not None
    project = find_project(
        context.store, alias.get("entity_name") or own["entity"], alias.get("project_name") or own["project_name"]
    )
    return (project and artifacts.collection_by_name(context.store, project, alias["artifact_collection_name"])) or own


def _use_artifact(_: Any, context: Context, wanted: Record) -> Record:
    artifact = artifacts.artifact_by_id(context.store, wanted["artifact_id"])
    run = existing_run(context, wanted)
    context.store.write("INSERT OR IGNORE INTO uses (run, artifact) VALUES (?, ?)", run["number"], artifact["number"])
    return {"artifact": artifact}


def _add_aliases(_: Any, context: Context, wanted: Record) -> Record:
    _set_aliases(context, artifacts.artifact_by_id(context.store, wanted["artifact_id"]), wanted["aliases"])
    return {"success": True}


def _delete_aliases(_: Any, context: Context, wanted: Record) -> Record:
    artifact = artifacts.artifact_by_id(context.store, wanted["artifact_id"])
    for alias in wanted["aliases"]:
        collection = _collection_named(context, artifact, alias)
        context.store.write(
            "DELETE FROM aliases WHERE artifact = ? AND alias = ? AND collection = ?",
            *(artifact["number"], alias["alias"], collection["number"]),
        )
    return {"success": True}


def _delete(_: Any, context: Context, wanted: Record) -> Record:
    artifact = artifacts.artifact_by_id(context.store, wanted["artifact_id"])
    artifacts.delete(context.store, artifact, with_aliases=bool(wanted.get("delete_aliases")))
    return {"artifact": artifact}


def _create(_: Any, context: Context, wanted: Record) -> Record:
    return {"artifact": artifacts.create_artifact(context.store, wanted)}


def _commit(_: Any, context: Context, wanted: Record) -> Record:
    artifact = artifacts.artifact_by_id(context.store, wanted["artifact_id"])
    return {"artifact": artifacts.commit(context.store, artifact)}


RESOLVERS: dict[str, Callable[..., Any]] = {
    "Mutation.createArtifact": _create,
    "Mutation.createArtifactManifest": _create_manifest,
    "Mutation.updateArtifactManifest": _update_manifest,
    "Mutation.createArtifactFiles": _create_files,
    "Mutation.commitArtifact": _commit,
    "Mutation.updateArtifact": _update_artifact,
    "Mutation.useArtifact": _use_artifact,
    "Mutation.addAliases": _add_aliases,
    "Mutation.deleteAliases": _delete_aliases,
    "Mutation.deleteArtifact": _delete,
}

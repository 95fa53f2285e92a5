"""What the GraphQL schema's types for artifacts answer, field by field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runferry_standin import artifacts
from runferry_standin.connections import connection
from runferry_standin.runs import find_project, run_by_number
from runferry_standin.store import identifier, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.context import Context
    from runferry_standin.store import Record


def _collection(artifact: Record, context: Context) -> Record:
    collection = artifacts.collection_by_number(context.store, artifact["collection"])
    assert collection is not None
    return collection


def _membership(collection: Record, artifact: Record) -> Record:
    return artifact | {"membership_collection": collection, "artifact_record": artifact}


def _by_name(project: Record, context: Context, name: str, **_: Any) -> Record | None:
    found = artifacts.artifact_by_name(context.store, project, name)
    return found and found[1]


def _membership_by_name(project: Record, context: Context, name: str) -> Record | None:
    found = artifacts.artifact_by_name(context.store, project, name)
    return found and _membership(*found)


def _membership_by_alias(collection: Record, context: Context, alias_name: str) -> Record | None:
    artifact = artifacts.artifact_by_alias(context.store, collection, alias_name)
    return artifact and _membership(collection, artifact)


def _types(project: Record, context: Context) -> list[Record]:
    found = context.store.rows(
        "SELECT min(number) AS number, type AS name, min(created_at) AS created_at FROM collections WHERE project = ?"
        " GROUP BY type ORDER BY number",
        project["number"],
    )
    return [kind | {"project_record": project} for kind in found]


def _type(project: Record, context: Context, name: str) -> Record | None:
    return next((kind for kind in _types(project, context) if kind["name"] == name), None)


def _type_of(collection: Record, context: Context) -> Record | None:
    project = find_project(context.store, collection["entity"], collection["project_name"])
    return project and _type(project, context, collection["type"])


def _collection_of_type(kind: Record, context: Context, name: str) -> Record | None:
    found = artifacts.collection_by_name(context.store, kind["project_record"], name)
    return found if found and found["type"] == kind["name"] else None


def _collections(project: Record, context: Context, kind: str | None = None, **page: Any) -> Record:
    return connection(artifacts.collections_of(context.store, project, kind), page.get("first"), page.get("after"))


def _versions(collection: Record, context: Context, **page: Any) -> Record:
    found = connection(artifacts.versions_of(context.store, collection), page.get("first"), page.get("after"))
    for edge in found["edges"]:
        edge["version"] = f"v{edge['node']['version_index']}"
    return found


def _latest(collection: Record, context: Context) -> Record | None:
    return next(iter(artifacts.versions_of(context.store, collection)), None)


def _aliases(collection: Record, context: Context, **page: Any) -> Record:
    found = context.store.rows("SELECT * FROM aliases WHERE collection = ? ORDER BY number", collection["number"])
    return connection(found, **page)


def _tags(artifact: Record, _: Context) -> list[Record]:
    return [{"id": identifier("Tag", i), "name": name} for i, name in enumerate(json.loads(artifact["tags"]))]


def _size(artifact: Record, context: Context) -> int:
    return sum(entry.get("size") or 0 for entry in artifacts.entries_of(context.store, artifact).values())


def _files(artifact: Record, context: Context, names: list[str] | None = None, **page: Any) -> Record:
    files: list[Record] = []
    for name, entry in artifacts.entries_of(context.store, artifact).items():
        stored = None if entry.get("ref") else artifacts.content_by_md5(context.store, entry["digest"])
        if stored and (names is None or name in names):
            files.append(artifact_file(name, stored))
    return connection(files, page.get("first"), page.get("after"))


def _files_by_entries(artifact: Record, context: Context, **page: Any) -> Record:
    wanted = page.pop("entries", None)
    return _files(artifact, context, None if wanted is None else [entry["name"] for entry in wanted], **page)


def artifact_file(name: str, stored: Record) -> Record:
    """Return a stored artifact file in the form of the schema's File, by the name that it has in an artifact."""
    return {
        "kind": "artifact",
        "number": stored["number"],
        "name": name,
        "md5": stored["md5"],
        "digest": stored["md5"],
        "size_bytes": len(stored["content"] or b""),
        "updated_at": stored["updated_at"],
        "artifact_number": stored["artifact"],
    }


def _manifest_file(manifest: Record, _: Context) -> Record:
    return manifest | {"kind": "manifest", "size_bytes": len(manifest["content"] or b"")}


def _output_artifacts(run: Record, context: Context, **page: Any) -> Record:
    found = context.store.rows(
        "SELECT * FROM artifacts WHERE run = ? AND state = ? ORDER BY number", run["number"], artifacts.COMMITTED
    )
    return connection(found, **page)


def _input_artifacts(run: Record, context: Context, **page: Any) -> Record:
    found = context.store.rows(
        "SELECT artifacts.* FROM artifacts JOIN uses ON uses.artifact = artifacts.number WHERE uses.run = ?",
        run["number"],
    )
    return connection(found, **page)


def _used_by(artifact: Record, context: Context) -> Record:
    users = context.store.rows("SELECT run FROM uses WHERE artifact = ?", artifact["number"])
    return connection([run_by_number(context.store, use["run"]) for use in users])


def _client_id_mapping(_: Any, context: Context, client_id: str) -> Record | None:
    found = context.store.row(
        "SELECT number FROM artifacts WHERE client_id = ? ORDER BY number DESC LIMIT 1", client_id
    )
    return found and {"server_id": identifier("Artifact", found["number"])}


def _artifact(_: Any, context: Context, id: str) -> Record | None:  # noqa: A002 - the schema's name for it
    return context.store.row("SELECT * FROM artifacts WHERE number = ?", number_of("Artifact", id))


def _collection_by_id(_: Any, context: Context, id: str) -> Record | None:  # noqa: A002 - the schema's name for it
    return artifacts.collection_by_number(context.store, number_of("ArtifactCollection", id))


def _collection_by_name(project: Record, context: Context, name: str) -> Record | None:
    return artifacts.collection_by_name(context.store, project, name)


def _artifact_of_type(kind: Record, context: Context, name: str) -> Record | None:
    return _by_name(kind["project_record"], context, name)


def _collections_of_type(kind: Record, context: Context, **page: Any) -> Record:
    return _collections(kind["project_record"], context, kind["name"], **page)


def _type_page(project: Record, context: Context, **page: Any) -> Record:
    return connection(_types(project, context), **page)


_PLAIN: dict[str, Callable[[Record, Context], Any]] = {
    "File.artifact": lambda file, context: context.store.row(
        "SELECT * FROM artifacts WHERE number = ?", file.get("artifact_number")
    ),
    "ArtifactType.id": lambda kind, _: identifier("ArtifactType", kind["number"]),
    "ArtifactSequence.id": lambda collection, _: identifier("ArtifactCollection", collection["number"]),
    "ArtifactSequence.project": lambda collection, context: find_project(
        context.store, collection["entity"], collection["project_name"]
    ),
    "ArtifactSequence.defaultArtifactType": _type_of,
    "ArtifactSequence.tags": lambda _, __: {"edges": []},
    "ArtifactSequence.latestArtifact": _latest,
    "ArtifactSequence.digestAlgorithm": lambda _, __: "MANIFEST_MD5",
    "ArtifactCollectionMembership.id": lambda membership, _: identifier("Membership", membership["number"]),
    "ArtifactCollectionMembership.artifact": lambda membership, _: membership["artifact_record"],
    "ArtifactCollectionMembership.artifactCollection": lambda membership, _: membership["membership_collection"],
    "ArtifactCollectionMembership.aliases": lambda artifact, context: artifacts.aliases_of(context.store, artifact),
    "Artifact.id": lambda artifact, _: identifier("Artifact", artifact["number"]),
    "Artifact.digestAlgorithm": lambda _, __: "MANIFEST_MD5",
    "Artifact.size": _size,
    "Artifact.fileCount": lambda artifact, context: len(artifacts.entries_of(context.store, artifact)),
    "Artifact.ttlIsInherited": lambda _, __: True,
    # Negative means that it is kept for ever (the client's source); 0.27 takes no null.
    "Artifact.ttlDurationSeconds": lambda artifact, _: artifact["ttl_duration_seconds"] or -2,
    "Artifact.tags": _tags,
    "Artifact.aliases": lambda artifact, context: artifacts.aliases_of(context.store, artifact),
    "Artifact.artifactType": lambda artifact, context: _type_of(_collection(artifact, context), context),
    "Artifact.artifactSequence": _collection,
    "Artifact.artifactMemberships": lambda artifact, context: connection(
        [_membership(_collection(artifact, context), artifact)]
    ),
    "Artifact.createdBy": lambda artifact, context: (
        run_by_number(context.store, artifact["run"]) or context.account.user
    ),
    "Artifact.usedBy": _used_by,
    "Artifact.currentManifest": lambda artifact, context: artifacts.current_manifest(context.store, artifact),
    "ArtifactAlias.id": lambda alias, _: identifier("ArtifactAlias", alias["number"]),
    "ArtifactAlias.artifactCollection": _collection,
    "ArtifactManifest.id": lambda manifest, _: identifier("ArtifactManifest", manifest["number"]),
    "ArtifactManifest.file": _manifest_file,
}

_WITH_ARGUMENTS: dict[str, Callable[..., Any]] = {
    "Query.artifact": _artifact,
    "Query.artifactCollection": _collection_by_id,
    "Query.clientIDMapping": _client_id_mapping,
    "Project.artifact": _by_name,
    "Project.artifactType": _type,
    "Project.artifactTypes": _type_page,
    "Project.artifactCollection": _collection_by_name,
    "Project.artifactCollections": _collections,
    "Project.artifactCollectionMembership": _membership_by_name,
    "Run.inputArtifacts": _input_artifacts,
    "Run.outputArtifacts": _output_artifacts,
    "ArtifactType.artifact": _artifact_of_type,
    "ArtifactType.artifactCollection": _collection_of_type,
    "ArtifactType.artifactCollections": _collections_of_type,
    "ArtifactSequence.aliases": _aliases,
    "ArtifactSequence.artifacts": _versions,
    "ArtifactSequence.artifactMembership": _membership_by_alias,
    "ArtifactCollectionMembership.files": _files,
    "Artifact.files": _files,
    "Artifact.filesByManifestEntries": _files_by_entries,
}

RESOLVERS: dict[str, Callable[..., Any]] = _PLAIN | _WITH_ARGUMENTS
"""Who answers a field: called with the record it belongs to, the context, and the field's arguments."""

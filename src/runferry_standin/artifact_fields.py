"""What the GraphQL schema's types for artifacts answer, field by field."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from runferry_standin import artifacts, manifests
from runferry_standin.collection_fields import collection_of, memberships, tags, type_of
from runferry_standin.connections import connection
from runferry_standin.runs import run_by_number
from runferry_standin.store import identifier, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.context import Context
    from runferry_standin.store import Record


def _size(artifact: Record, context: Context) -> int:
    return sum(entry.get("size") or 0 for entry in manifests.entries_of(context.store, artifact).values())


def _files(artifact: Record, context: Context, names: list[str] | None = None, **page: Any) -> Record:
    files: list[Record] = []
    for name, entry in manifests.entries_of(context.store, artifact).items():
        if names is not None and name not in names:
            continue
        if entry.get("ref"):
            files.append(_reference(name, entry, artifact))
        elif stored := artifacts.content_by_md5(context.store, entry["digest"]):
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
        # Begins so on the real server (read: the client's tests).
        "storage_path": f"wandb_artifacts/{stored['artifact']}/{stored['number']}",
        "size_bytes": len(stored["content"] or b""),
        "updated_at": stored["updated_at"],
        "artifact_number": stored["artifact"],
    }


def _reference(name: str, entry: Record, artifact: Record) -> Record:
    """Return a reference in the form of the schema's File: it is listed (measured: the client fetches what is listed).

    Its address is what it refers to; the client does not look at it but takes no null for it (measured: 0.31).
    """
    return {
        "name": name,
        "digest": entry["digest"],
        "size_bytes": entry.get("size") or 0,
        "updated_at": artifact["updated_at"],
        "artifact_number": artifact["number"],
        "refers_to": entry["ref"],
    }


def _manifest_file(manifest: Record, _: Context) -> Record:
    return manifest | {"kind": "manifest", "size_bytes": len(manifest["content"] or b"")}


def _output_artifacts(run: Record, context: Context, **page: Any) -> Record:
    logged = artifacts.outputs_of(context.store, run)
    return connection([artifact for artifact in logged if artifact["state"] == artifacts.COMMITTED], **page)


def _commit_hash(artifact: Record, _: Context) -> str:
    # Twenty hexadecimal digits (read: the client's tests); of what they are made is not known.
    return hashlib.sha1(f"{artifact['number']}:{artifact['digest']}".encode(), usedforsecurity=False).hexdigest()[:20]


def _member_files(member: Record, context: Context, **arguments: Any) -> Record:
    return _files(member["artifact_record"], context, **arguments)


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


_PLAIN: dict[str, Callable[[Record, Context], Any]] = {
    "File.artifact": lambda file, context: context.store.row(
        "SELECT * FROM artifacts WHERE number = ?", file.get("artifact_number")
    ),
    "Artifact.commitHash": _commit_hash,
    "Artifact.id": lambda artifact, _: identifier("Artifact", artifact["number"]),
    "Artifact.digestAlgorithm": lambda _, __: "MANIFEST_MD5",
    "Artifact.size": _size,
    "Artifact.fileCount": lambda artifact, context: len(manifests.entries_of(context.store, artifact)),
    "Artifact.ttlIsInherited": lambda _, __: True,
    # Negative means that it is kept for ever (the client's source); 0.27 takes no null.
    "Artifact.ttlDurationSeconds": lambda artifact, _: artifact["ttl_duration_seconds"] or -2,
    "Artifact.tags": tags,
    "Artifact.aliases": lambda artifact, context: artifacts.aliases_of(context.store, artifact),
    "Artifact.artifactType": lambda artifact, context: type_of(collection_of(artifact, context), context),
    "Artifact.artifactSequence": collection_of,
    "Artifact.artifactMemberships": memberships,
    "Artifact.createdBy": lambda artifact, context: (
        run_by_number(context.store, artifact["run"]) or context.account.user
    ),
    "Artifact.usedBy": _used_by,
    "Artifact.currentManifest": lambda artifact, context: manifests.current(context.store, artifact),
    "ArtifactAlias.id": lambda alias, _: identifier("ArtifactAlias", alias["number"]),
    "ArtifactAlias.artifactCollection": collection_of,
    "ArtifactManifest.id": lambda manifest, _: identifier("ArtifactManifest", manifest["number"]),
    "ArtifactManifest.file": _manifest_file,
}

_WITH_ARGUMENTS: dict[str, Callable[..., Any]] = {
    "Query.artifact": _artifact,
    "Query.clientIDMapping": _client_id_mapping,
    "Run.inputArtifacts": _input_artifacts,
    "Run.outputArtifacts": _output_artifacts,
    "ArtifactCollectionMembership.files": _member_files,
    "Artifact.files": _files,
    "Artifact.filesByManifestEntries": _files_by_entries,
}

RESOLVERS: dict[str, Callable[..., Any]] = _PLAIN | _WITH_ARGUMENTS
"""Who answers a field: called with the record it belongs to, the context, and the field's arguments."""

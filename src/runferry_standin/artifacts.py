"""Artifacts as the stand-in keeps them: collections, versions, aliases, manifests.

Assumed of the real server, where the client's source says nothing: versions are numbered from v0 in the order in which
they are committed, "latest" moves to each, and an artifact whose digest its collection has already is that one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, cast

from runferry_standin.problems import NotFoundError
from runferry_standin.runs import find_run, make_project
from runferry_standin.store import number_of

if TYPE_CHECKING:
    from runferry_standin.store import Record, Store

COMMITTED = "COMMITTED"

_COLLECTION = """
SELECT collections.*, projects.entity AS entity, projects.name AS project_name
FROM collections JOIN projects ON collections.project = projects.number
"""


def artifact_by_id(store: Store, opaque: str) -> Record:
    """Return an artifact by the id that a client was given.

    Raises
    ------
    NotFoundError
        When there is none.
    """
    found = store.row("SELECT * FROM artifacts WHERE number = ?", number_of("Artifact", opaque))
    if found is None:
        message = f"artifact {opaque} not found"
        raise NotFoundError(message)
    return found


def artifact_by_name(store: Store, project: Record, name: str) -> tuple[Record, Record] | None:
    """Return the collection and the artifact of "collection:alias"; without an alias it is "latest"."""
    collection_name, _, alias = name.partition(":")
    collection = collection_by_name(store, project, collection_name)
    artifact = collection and artifact_by_alias(store, collection, alias or "latest")
    return (collection, artifact) if collection and artifact else None


def artifact_by_alias(store: Store, collection: Record, alias: str) -> Record | None:
    """Return a committed artifact of a collection by a version ("v3"), an alias or a digest."""
    if re.fullmatch(r"v\d+", alias):
        return store.row(
            "SELECT * FROM artifacts WHERE collection = ? AND version_index = ?", collection["number"], int(alias[1:])
        )
    named = store.row(
        "SELECT artifacts.* FROM artifacts JOIN aliases ON aliases.artifact = artifacts.number"
        " WHERE aliases.collection = ? AND alias = ?",
        *(collection["number"], alias),
    )
    return named or artifact_by_digest(store, collection, alias)


def artifact_by_digest(store: Store, collection: Record, digest: str) -> Record | None:
    """Return a committed artifact of a collection with that digest, or None."""
    return store.row(
        "SELECT * FROM artifacts WHERE collection = ? AND digest = ? AND state = ?",
        *(collection["number"], digest, COMMITTED),
    )


def collection_by_name(store: Store, project: Record, name: str) -> Record | None:
    """Return a collection of a project, or None."""
    return store.row(f"{_COLLECTION} WHERE collections.project = ? AND collections.name = ?", project["number"], name)


def collection_by_number(store: Store, number: int | None) -> Record | None:
    """Return a collection by the number of its row, or None."""
    return store.row(f"{_COLLECTION} WHERE collections.number = ?", number)


def collections_of(store: Store, project: Record, kind: str | None = None) -> list[Record]:
    """Return the collections of a project, of one artifact type or of all."""
    return store.rows(
        f"{_COLLECTION} WHERE collections.project = ? AND (? IS NULL OR type = ?) ORDER BY collections.number",
        *(project["number"], kind, kind),
    )


def versions_of(store: Store, collection: Record) -> list[Record]:
    """Return the committed artifacts of a collection, the newest first."""
    return store.rows(
        "SELECT * FROM artifacts WHERE collection = ? AND state = ? ORDER BY version_index DESC",
        *(collection["number"], COMMITTED),
    )


def create_artifact(store: Store, wanted: Record) -> Record:
    """Begin an artifact, or give the one of the same digest that the collection has."""
    project = make_project(store, wanted["entity_name"], wanted["project_name"])
    name: str = wanted.get("artifact_collection_name") or wanted["artifact_collection_names"][0]
    store.write(
        "INSERT OR IGNORE INTO collections (project, type, name, client_id, created_at) VALUES (?, ?, ?, ?, ?)",
        *(project["number"], wanted["artifact_type_name"], name, wanted.get("sequence_client_id"), store.now()),
    )
    collection = collection_by_name(store, project, name)
    assert collection is not None
    wanted_aliases: list[Record] = wanted.get("aliases") or []
    aliases: list[str] = [alias["alias"] for alias in wanted_aliases]
    same = artifact_by_digest(store, collection, wanted["digest"])
    if same is not None and wanted.get("enable_digest_deduplication"):
        for alias in aliases:
            set_alias(store, collection, alias, same)
        # Later requests name the artifact by the client's own id for it.
        store.write("UPDATE artifacts SET client_id = ? WHERE number = ?", wanted.get("client_id"), same["number"])
        return same
    run_name = wanted.get("run_name")
    run = find_run(store, project["entity"], project["name"], run_name) if run_name else None
    wanted_tags: list[Record] = wanted.get("tags") or []
    tags = [tag["tag_name"] for tag in wanted_tags]
    number = store.write(
        "INSERT INTO artifacts (collection, run, state, digest, client_id, description, metadata, history_step,"
        " ttl_duration_seconds, tags, wanted_aliases, created_at, updated_at)"
        " VALUES (?, ?, 'PENDING', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(collection["number"], run["number"] if run else None, wanted["digest"], wanted.get("client_id")),
        *(wanted.get("description"), wanted.get("metadata"), wanted.get("history_step")),
        *(wanted.get("ttl_duration_seconds"), json.dumps(tags), json.dumps(aliases), store.now(), store.now()),
    )
    created = store.row("SELECT * FROM artifacts WHERE number = ?", number)
    assert created is not None
    return created


def commit(store: Store, artifact: Record) -> Record:
    """Give an artifact its version and its aliases."""
    if artifact["state"] != COMMITTED:
        collection = collection_by_number(store, artifact["collection"])
        assert collection is not None
        store.write(
            "UPDATE artifacts SET state = ?, updated_at = ?, version_index ="
            " (SELECT coalesce(max(version_index) + 1, 0) FROM artifacts WHERE collection = ?) WHERE number = ?",
            *(COMMITTED, store.now(), collection["number"], artifact["number"]),
        )
        for alias in {*json.loads(artifact["wanted_aliases"]), "latest"}:
            set_alias(store, collection, alias, artifact)
    committed = store.row("SELECT * FROM artifacts WHERE number = ?", artifact["number"])
    assert committed is not None
    return committed


def set_alias(store: Store, collection: Record, alias: str, artifact: Record) -> None:
    """Let an alias of a collection name this artifact and no other."""
    store.write(
        "INSERT OR REPLACE INTO aliases (collection, alias, artifact) VALUES (?, ?, ?)",
        *(collection["number"], alias, artifact["number"]),
    )


def aliases_of(store: Store, artifact: Record) -> list[Record]:
    """Return the aliases that name an artifact."""
    return store.rows("SELECT * FROM aliases WHERE artifact = ? ORDER BY number", artifact["number"])


def current_manifest(store: Store, artifact: Record) -> Record | None:
    """Return the newest manifest of an artifact, or None."""
    return store.row("SELECT * FROM manifests WHERE artifact = ? ORDER BY number DESC LIMIT 1", artifact["number"])


def entries_of(store: Store, artifact: Record) -> dict[str, Record]:
    """Return what an artifact's manifest lists, by path: digest, size, ref...; empty before the manifest is put."""
    manifest = current_manifest(store, artifact)
    if manifest is None or manifest["content"] is None:
        return {}
    try:
        contents = json.loads(manifest["content"])["contents"]
    except (ValueError, KeyError, TypeError):
        return {}
    return cast("dict[str, Any]", contents) if isinstance(contents, dict) else {}


def content_by_md5(store: Store, digest: str) -> Record | None:
    """Return a stored artifact file with that base64 MD5, or None: the content is the same in every artifact."""
    return store.row("SELECT * FROM artifact_files WHERE md5 = ? AND content IS NOT NULL LIMIT 1", digest)


def base64_of_hex(digest: str) -> str | None:
    """Return the base64 form of a hexadecimal digest, or None when it is not one."""
    try:
        return base64.b64encode(binascii.unhexlify(digest)).decode()
    except (binascii.Error, ValueError):
        return None

"""Artifacts as the stand-in keeps them: collections, versions, aliases, manifests.

Assumed of the real server, where the client's source says nothing: versions are numbered from v0 in the order in which
they are committed, "latest" moves to each, and an artifact whose digest its collection has already is that one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from typing import TYPE_CHECKING

from runferry_standin import manifests
from runferry_standin.artifact_names import aliases_in, tags_in
from runferry_standin.problems import NotFoundError, RefusedError
from runferry_standin.runs import find_run, make_project
from runferry_standin.store import number_of

if TYPE_CHECKING:
    from runferry_standin.store import Record, Store

COMMITTED = "COMMITTED"

REGIONS = ("default", "minio-local")
"""Storage regions that may be asked for (read: the client's tests of the server that W&B tests with)."""

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
        index = int(alias[1:])
        return next((each for each in versions_of(store, collection) if each["member_index"] == index), None)
    named = store.row(
        "SELECT artifacts.* FROM artifacts JOIN aliases ON aliases.artifact = artifacts.number"
        " WHERE aliases.collection = ? AND alias = ? AND artifacts.state = ?",
        *(collection["number"], alias, COMMITTED),
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
    """Return the committed artifacts of a collection, the newest first; `member_index` is the version in it."""
    if collection["portfolio"]:
        return store.rows(
            "SELECT artifacts.*, links.version_index AS member_index FROM artifacts JOIN links"
            " ON links.artifact = artifacts.number WHERE links.collection = ? AND state = ? ORDER BY member_index DESC",
            *(collection["number"], COMMITTED),
        )
    return store.rows(
        "SELECT *, version_index AS member_index FROM artifacts WHERE collection = ? AND state = ?"
        " ORDER BY version_index DESC",
        *(collection["number"], COMMITTED),
    )


def create_artifact(store: Store, wanted: Record) -> Record:
    """Begin an artifact, or give the one of the same digest, or of the same distributed id, that the collection has."""
    if wanted.get("storage_region") and wanted["storage_region"] not in REGIONS:
        # Read: the client's tests quote the answer.
        message = f"CreateArtifact invalid storageRegion: {wanted['storage_region']}"
        raise RefusedError(message)
    project = make_project(store, wanted["entity_name"], wanted["project_name"])
    name: str = wanted.get("artifact_collection_name") or wanted["artifact_collection_names"][0]
    collection = make_collection(store, project, name, wanted["artifact_type_name"])
    if collection["client_id"] is None:
        store.write(
            "UPDATE collections SET client_id = ? WHERE number = ?",
            *(wanted.get("sequence_client_id"), collection["number"]),
        )
    run_name = wanted.get("run_name")
    run = find_run(store, project["entity"], project["name"], run_name) if run_name else None
    artifact = _same(store, collection, wanted)
    if artifact is None:
        artifact = _insert(store, collection, run, wanted)
    else:
        _use_again(store, collection, artifact, wanted)
    if run is not None:
        # Of whichever run logs it (read: the client's system tests, `test_artifact_run_logged` and others).
        store.write("INSERT OR IGNORE INTO outputs (run, artifact) VALUES (?, ?)", run["number"], artifact["number"])
    return artifact


def make_collection(store: Store, project: Record, name: str, kind: str, *, portfolio: bool = False) -> Record:
    """Return a project's collection of that name, made when there is none.

    Raises
    ------
    RefusedError
        When it is there and is a portfolio where a sequence is meant, or the other way round.
    """
    store.write(
        "INSERT OR IGNORE INTO collections (project, type, name, portfolio, created_at) VALUES (?, ?, ?, ?, ?)",
        *(project["number"], kind, name, portfolio, store.now()),
    )
    collection = collection_by_name(store, project, name)
    assert collection is not None
    if bool(collection["portfolio"]) != portfolio:
        found, expected = ("portfolio", "sequence") if collection["portfolio"] else ("sequence", "portfolio")
        message = f"collection {name} is a {found}; expected a {expected}"
        raise RefusedError(message)
    return collection


def _same(store: Store, collection: Record, wanted: Record) -> Record | None:
    """Return what the collection has already of what is wanted."""
    if wanted.get("distributed_id"):
        return store.row(
            "SELECT * FROM artifacts WHERE collection = ? AND distributed_id = ? AND state = 'PENDING'",
            *(collection["number"], wanted["distributed_id"]),
        )
    if not wanted.get("enable_digest_deduplication"):
        return None
    return artifact_by_digest(store, collection, wanted["digest"])


def _use_again(store: Store, collection: Record, artifact: Record, wanted: Record) -> None:
    if artifact["state"] == COMMITTED:
        for alias in aliases_in(wanted):
            set_alias(store, collection, alias, artifact)
    else:
        aliases = {*json.loads(artifact["wanted_aliases"]), *aliases_in(wanted)}
        store.write(
            "UPDATE artifacts SET wanted_aliases = ? WHERE number = ?", json.dumps(sorted(aliases)), artifact["number"]
        )
    tags: list[str] = json.loads(artifact["tags"])
    tags += [tag for tag in tags_in(wanted) if tag not in tags]
    # Later requests name the artifact by the client's own id for it.
    store.write(
        "UPDATE artifacts SET client_id = ?, tags = ? WHERE number = ?",
        *(wanted.get("client_id"), json.dumps(tags), artifact["number"]),
    )


def _insert(store: Store, collection: Record, run: Record | None, wanted: Record) -> Record:
    number = store.write(
        "INSERT INTO artifacts (number, collection, run, state, digest, client_id, description, metadata, history_step,"
        " ttl_duration_seconds, tags, wanted_aliases, distributed_id, created_at, updated_at)"
        " VALUES ((SELECT coalesce(max(number) + 1, ?) FROM artifacts),"
        " ?, ?, 'PENDING', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        # No two servers give the same ids: the client caches files of referred artifacts by them, whatever the server.
        *(
            secrets.randbelow(2**40) + 1,
            collection["number"],
            run["number"] if run else None,
            wanted["digest"],
            wanted.get("client_id"),
        ),
        *(wanted.get("description"), wanted.get("metadata"), wanted.get("history_step")),
        *(wanted.get("ttl_duration_seconds"), json.dumps(tags_in(wanted)), json.dumps(aliases_in(wanted))),
        *(wanted.get("distributed_id"), store.now(), store.now()),
    )
    created = store.row("SELECT * FROM artifacts WHERE number = ?", number)
    assert created is not None
    return created


def commit(store: Store, artifact: Record) -> Record:
    """Give an artifact its version and its aliases."""
    if artifact["state"] != COMMITTED:
        collection = collection_by_number(store, artifact["collection"])
        assert collection is not None
        manifests.complete(store, artifact)
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


def delete(store: Store, artifact: Record, *, with_aliases: bool) -> None:
    """Delete an artifact; "latest" moves to the newest that is left (assumed).

    Raises
    ------
    RefusedError
        When aliases name it and are not to go with it (read: the client's `Artifact.delete` and its tests).
    """
    aliases = [alias["alias"] for alias in aliases_of(store, artifact)]
    if aliases and not with_aliases:
        message = f"the artifact has the aliases {', '.join(aliases)}; delete them with it"
        raise RefusedError(message)
    store.write("UPDATE artifacts SET state = 'DELETED' WHERE number = ?", artifact["number"])
    store.write("DELETE FROM aliases WHERE artifact = ?", artifact["number"])
    store.write("DELETE FROM links WHERE artifact = ?", artifact["number"])
    collection = collection_by_number(store, artifact["collection"])
    left = versions_of(store, collection) if collection else []
    if collection and left and "latest" in aliases:
        set_alias(store, collection, "latest", left[0])


def set_alias(store: Store, collection: Record, alias: str, artifact: Record) -> None:
    """Let an alias of a collection name this artifact and no other."""
    store.write(
        "INSERT OR REPLACE INTO aliases (collection, alias, artifact) VALUES (?, ?, ?)",
        *(collection["number"], alias, artifact["number"]),
    )


def aliases_of(store: Store, artifact: Record, collection: Record | None = None) -> list[Record]:
    """Return the aliases that name an artifact, in one collection or in all."""
    within = None if collection is None else collection["number"]
    return store.rows(
        "SELECT * FROM aliases WHERE artifact = ? AND (? IS NULL OR collection = ?) ORDER BY number",
        *(artifact["number"], within, within),
    )


def outputs_of(store: Store, run: Record) -> list[Record]:
    """Return the artifacts that a run logged, also those that another had logged before; the oldest first."""
    return store.rows(
        "SELECT * FROM artifacts WHERE run = ? OR number IN (SELECT artifact FROM outputs WHERE run = ?)"
        " ORDER BY number",
        *(run["number"], run["number"]),
    )


def content_by_md5(store: Store, digest: str) -> Record | None:
    """Return a stored artifact file with that base64 MD5, or None: the content is the same in every artifact."""
    return store.row("SELECT * FROM artifact_files WHERE md5 = ? AND content IS NOT NULL LIMIT 1", digest)


def base64_of_hex(digest: str) -> str | None:
    """Return the base64 form of a hexadecimal digest, or None when it is not one."""
    try:
        return base64.b64encode(binascii.unhexlify(digest)).decode()
    except (binascii.Error, ValueError):
        return None

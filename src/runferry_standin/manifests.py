"""Manifests of artifacts: what files an artifact has, put together from parts where the client sent parts.

A manifest is FULL, or INCREMENTAL (what is added to the artifact that is its base), or one PATCH of several, each by
another process, of one distributed artifact. That the server makes a full one of them when the artifact is committed
is what the client's tests expect; that a name in a later part wins is assumed, and so is the digest of the whole,
which is computed as the client does.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, cast

from runferry_standin.store import number_of

if TYPE_CHECKING:
    from runferry_standin.store import Record, Store

FULL, INCREMENTAL = "FULL", "INCREMENTAL"


def create(store: Store, artifact: Record, wanted: Record) -> Record:
    """Begin a manifest of an artifact and return it."""
    base = number_of("Artifact", wanted["base_artifact_id"]) if wanted.get("base_artifact_id") else None
    number = store.write(
        "INSERT INTO manifests (artifact, name, digest, type, base, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
        *(artifact["number"], wanted["name"], wanted["digest"], wanted.get("type") or FULL, base, store.now()),
    )
    created = store.row("SELECT * FROM manifests WHERE number = ?", number)
    assert created is not None
    return created


def current(store: Store, artifact: Record) -> Record | None:
    """Return the newest manifest of an artifact, or None."""
    return store.row("SELECT * FROM manifests WHERE artifact = ? ORDER BY number DESC LIMIT 1", artifact["number"])


def entries_of(store: Store, artifact: Record) -> dict[str, Record]:
    """Return what an artifact's manifest lists, by path: digest, size, ref...; empty before the manifest is put."""
    return _entries(current(store, artifact))


def complete(store: Store, artifact: Record) -> None:
    """Put the parts of an artifact's manifest together, as it is committed. Called inside a transaction."""
    parts = store.rows("SELECT * FROM manifests WHERE artifact = ? ORDER BY number", artifact["number"])
    contents = [part for part in parts if part["content"] is not None]
    if not contents or all(part["type"] == FULL for part in contents):
        return
    whole: dict[str, Record] = {}
    for part in contents:
        if part["type"] == INCREMENTAL:
            whole |= entries_of(store, {"number": part["base"] or _previous(store, artifact)})
        whole |= _entries(part)
    manifest = cast("dict[str, Any]", json.loads(contents[-1]["content"])) | {"contents": whole}
    digest = digest_of(whole)
    store.write(
        "INSERT INTO manifests (artifact, name, digest, content, updated_at) VALUES (?, ?, ?, ?, ?)",
        *(artifact["number"], "wandb_manifest.json", digest, json.dumps(manifest).encode(), store.now()),
    )
    store.write("UPDATE artifacts SET digest = ? WHERE number = ?", digest, artifact["number"])


def digest_of(contents: dict[str, Record]) -> str:
    """Return the digest of a manifest as the client computes it (its `ArtifactManifestV1.digest`)."""
    summed = hashlib.md5(b"wandb-artifact-manifest-v1\n", usedforsecurity=False)
    for name, entry in sorted(contents.items()):
        summed.update(f"{name}:{entry['digest']}\n".encode())
    return summed.hexdigest()


def _previous(store: Store, artifact: Record) -> int | None:
    found = store.row(
        "SELECT number FROM artifacts WHERE collection = (SELECT collection FROM artifacts WHERE number = ?)"
        " AND state = 'COMMITTED' ORDER BY version_index DESC LIMIT 1",
        artifact["number"],
    )
    return found["number"] if found else None


def _entries(manifest: Record | None) -> dict[str, Record]:
    if manifest is None or manifest["content"] is None:
        return {}
    try:
        contents = json.loads(manifest["content"])["contents"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return cast("dict[str, Any]", contents) if isinstance(contents, dict) else {}

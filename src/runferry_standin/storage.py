"""The contents of files: of runs, of artifacts, and artifacts' manifests.

A client is given an address (`Links.stored`), puts the content there in one piece, and others fetch it from there.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runferry_standin.store import Record, Store

TABLES = {"file": "files", "manifest": "manifests", "artifact": "artifact_files"}
"""Kinds of stored content and the table of each."""


def put(store: Store, kind: str, number: int, content: bytes) -> None:
    """Keep the content of a file that was announced. Called inside a transaction."""
    store.write(f"UPDATE {TABLES[kind]} SET content = ?, updated_at = ? WHERE number = ?", content, store.now(), number)
    if kind == "file":
        store.write("UPDATE files SET md5 = ? WHERE number = ?", md5_of(content), number)


def get(store: Store, kind: str, number: int) -> Record | None:
    """Return a stored file's row, or None; its `content` is None until it was put."""
    return store.row(f"SELECT * FROM {TABLES[kind]} WHERE number = ?", number)


def md5_of(content: bytes) -> str:
    """Return the base64 MD5 that W&B names contents by."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def announce_run_file(store: Store, run: Record, name: str) -> Record:
    """Return the row of a run's file, made when it is new; what was put before stays until it is put again."""
    mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
    store.write(
        "INSERT OR IGNORE INTO files (run, name, mimetype, updated_at) VALUES (?, ?, ?, ?)",
        *(run["number"], name, mimetype, store.now()),
    )
    found = store.row("SELECT * FROM files WHERE run = ? AND name = ?", run["number"], name)
    assert found is not None
    return found


def run_files(store: Store, run: Record) -> list[Record]:
    """Files of a run whose content has arrived (assumed: the real server lists no others), without the contents."""
    return store.rows(
        "SELECT number, run, name, md5, mimetype, updated_at, length(content) AS size_bytes FROM files"
        " WHERE run = ? AND content IS NOT NULL ORDER BY name",
        run["number"],
    )

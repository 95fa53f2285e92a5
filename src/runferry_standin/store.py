"""Where the stand-in keeps what it is sent: one SQLite file, or memory.

One connection, used by one thread at a time (the server's event loop), so that no lock is needed. Write-ahead log with
``synchronous=NORMAL``: what was answered survives a SIGKILL of the process, though not a power cut.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

Record = dict[str, Any]
"""A row of a table, by column."""

APPLICATION_ID = 0x52464552
"""Marks a SQLite file as a stand-in's ("RFER"), so that no other program's file is written to."""

TABLES_VERSION = 1

TABLES = """
CREATE TABLE projects (
    number INTEGER PRIMARY KEY, entity TEXT NOT NULL, name TEXT NOT NULL, description TEXT, access TEXT, views TEXT,
    created_at REAL NOT NULL, UNIQUE (entity, name)
);
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, project INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE, name TEXT NOT NULL,
    display_name TEXT, description TEXT, notes TEXT, group_name TEXT, job_type TEXT, commit_hash TEXT, host TEXT,
    program TEXT, repository TEXT, sweep_name TEXT, tags TEXT NOT NULL DEFAULT '[]', config TEXT, summary_metrics TEXT,
    state TEXT NOT NULL, exit_code INTEGER, preempting INTEGER NOT NULL DEFAULT 0, last_step INTEGER,
    history_keys TEXT NOT NULL DEFAULT '{}', created_at REAL NOT NULL, heartbeat_at REAL NOT NULL,
    UNIQUE (project, name)
);
CREATE TABLE lines (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, file TEXT NOT NULL, position INTEGER NOT NULL,
    step INTEGER, line TEXT NOT NULL, PRIMARY KEY (run, file, position)
) WITHOUT ROWID;
CREATE TABLE files (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL,
    content BLOB, md5 TEXT, mimetype TEXT, updated_at REAL NOT NULL, UNIQUE (run, name)
);
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, title TEXT, text TEXT,
    severity TEXT, created_at REAL NOT NULL
);
CREATE TABLE collections (
    number INTEGER PRIMARY KEY, project INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE, type TEXT NOT NULL,
    name TEXT NOT NULL, client_id TEXT, created_at REAL NOT NULL, UNIQUE (project, name)
);
CREATE TABLE artifacts (
    number INTEGER PRIMARY KEY, collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    run INTEGER REFERENCES runs ON DELETE SET NULL, state TEXT NOT NULL, version_index INTEGER, digest TEXT NOT NULL,
    client_id TEXT, description TEXT, metadata TEXT, history_step INTEGER, ttl_duration_seconds INTEGER,
    tags TEXT NOT NULL DEFAULT '[]', wanted_aliases TEXT NOT NULL DEFAULT '[]', created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX artifacts_by_client_id ON artifacts (client_id);
CREATE TABLE aliases (
    number INTEGER PRIMARY KEY, collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    alias TEXT NOT NULL, artifact INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE, UNIQUE (collection, alias)
);
CREATE TABLE manifests (
    number INTEGER PRIMARY KEY, artifact INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE, name TEXT NOT NULL,
    digest TEXT, content BLOB, updated_at REAL NOT NULL
);
CREATE TABLE artifact_files (
    number INTEGER PRIMARY KEY, artifact INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE, name TEXT NOT NULL,
    md5 TEXT NOT NULL, content BLOB, updated_at REAL NOT NULL, UNIQUE (artifact, name)
);
CREATE INDEX artifact_files_by_md5 ON artifact_files (md5);
CREATE TABLE uses (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    artifact INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE, PRIMARY KEY (run, artifact)
) WITHOUT ROWID;
"""


ADDED_TABLES = """
CREATE TABLE IF NOT EXISTS sweeps (
    number INTEGER PRIMARY KEY, project INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE, name TEXT NOT NULL,
    display_name TEXT, description TEXT, config TEXT, state TEXT NOT NULL, created_at REAL NOT NULL,
    UNIQUE (project, name)
);
CREATE TABLE IF NOT EXISTS cursors (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, file TEXT NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (run, file)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outputs (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    artifact INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE, PRIMARY KEY (run, artifact)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (
    collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    artifact INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE, version_index INTEGER NOT NULL,
    created_at REAL NOT NULL, PRIMARY KEY (collection, artifact)
) WITHOUT ROWID
"""
"""Made in an older file, too, which stays usable."""

ADDED_COLUMNS = (
    ("collections", "portfolio", "INTEGER NOT NULL DEFAULT 0"),
    ("collections", "description", "TEXT"),
    ("collections", "tags", "TEXT NOT NULL DEFAULT '[]'"),
    ("artifacts", "distributed_id", "TEXT"),
    ("manifests", "type", "TEXT NOT NULL DEFAULT 'FULL'"),
    ("manifests", "base", "INTEGER"),
)
"""Table, column and type, likewise."""


class Store:
    """The stand-in's tables.

    Parameters
    ----------
    data
        The SQLite file, made with its folder when it is missing; None keeps everything in memory.
    clock
        What time it is, in seconds since the epoch; a test can give its own.

    Raises
    ------
    ConfigError
        When the file is in use by another stand-in, is not a stand-in's, or cannot be made.
    """

    def __init__(self, data: Path | None, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.seconds_ahead = 0.0
        if data is not None:
            _make_folder(data)
        try:
            self._connection = _connect(data)
        except sqlite3.Error as error:
            message = f"{data}: {error}; expected a data file of the stand-in that no other stand-in has open"
            raise ConfigError(message) from error

    def now(self) -> float:
        """Seconds since the epoch, by the clock and by how far a test has set it ahead."""
        return self.clock() + self.seconds_ahead

    def rows(self, statement: str, *values: Any) -> list[Record]:
        """Every row that a SELECT gives."""
        return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, *values: Any) -> Record | None:
        """Return the first row that a SELECT gives, or None."""
        return self._connection.execute(statement, values).fetchone()

    def number(self, statement: str, *values: Any) -> Any:
        """Return the only value of a SELECT that always gives one row, as `count(*)` does."""
        (value,) = self._connection.execute(statement, values).fetchone().values()
        return value

    def write(self, statement: str, *values: Any) -> int:
        """Run one INSERT, UPDATE or DELETE and give the number of the row that was inserted last."""
        return self._connection.execute(statement, values).lastrowid or 0

    def write_many(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        """Run one statement for many tuples of values."""
        self._connection.executemany(statement, values)

    @contextmanager
    def transaction(self, *, keep: bool = True) -> Generator[None]:
        """Make what is written inside durable together, or not at all.

        Parameters
        ----------
        keep
            False undoes it: so a test can have the server answer as if it had stored what it lost.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT" if keep else "ROLLBACK")

    def close(self) -> None:
        """Write the log back into the file and close it."""
        self._connection.close()


def identifier(kind: str, number: int | str) -> str:
    """Return the opaque id that a client sees for a row: base64, which its artifact code relies on (measured)."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def number_of(kind: str, opaque: str) -> int | None:
    """Return the row's number of an `identifier`, or None when it is not one of that kind."""
    try:
        found, _, number = base64.b64decode(opaque, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return int(number) if found == kind and number.isdecimal() else None


def _make_folder(data: Path) -> None:
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{data}: cannot make its folder ({error.strerror}); name another file with --data"
        raise ConfigError(message) from error


def _connect(data: Path | None) -> sqlite3.Connection:
    # Opened where errors can be shown, used in the server's thread: never both at once.
    connection = sqlite3.connect(
        ":memory:" if data is None else data, isolation_level=None, check_same_thread=False, timeout=1
    )
    connection.row_factory = _as_record
    # Exclusive, so that two servers cannot share a file: each would miss what the other was sent.
    for pragma in ("locking_mode=EXCLUSIVE", "foreign_keys=ON", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    tables = connection.execute("SELECT count(*) AS tables FROM sqlite_master").fetchone()["tables"]
    application = connection.execute("PRAGMA application_id").fetchone()["application_id"]
    version = connection.execute("PRAGMA user_version").fetchone()["user_version"]
    if tables and (application, version) != (APPLICATION_ID, TABLES_VERSION):
        message = "it is another program's or another version's database"
        raise sqlite3.DatabaseError(message)
    connection.execute("PRAGMA journal_mode=WAL")
    # Also takes the lock, so that a file in use is found now and not at the first request.
    connection.execute("BEGIN EXCLUSIVE")
    if not tables:
        for statement in TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={TABLES_VERSION}")
    for statement in ADDED_TABLES.split(";"):
        connection.execute(statement)
    for table, column, kind in ADDED_COLUMNS:
        if column not in {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    connection.execute("COMMIT")


def _as_record(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> Record:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}

"""Projects and runs as the stand-in keeps them: found, made, their state and their history."""

from __future__ import annotations

import json
import secrets
import string
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry_standin.store import Record, Store

DEMO_ENTITY = "demo"
"""The viewer's own entity: where a run goes whose client names none."""

DEFAULT_PROJECT = "uncategorized"
"""Where a run goes whose client names no project (the client's own default name, measured)."""

CRASHED_AFTER_SECONDS = 300
"""A run without a heartbeat for so long counts as crashed (the real server's documented 5 minutes)."""

HISTORY_FILE = "wandb-history.jsonl"
EVENTS_FILE = "wandb-events.jsonl"
OUTPUT_FILE = "output.log"

_RUN = """
SELECT runs.*, projects.entity AS entity, projects.name AS project_name
FROM runs JOIN projects ON runs.project = projects.number
"""

# What a client may set on a run: the name in its request, the column.
_SETTABLE = {
    "display_name": "display_name",
    "description": "description",
    "notes": "notes",
    "group_name": "group_name",
    "job_type": "job_type",
    "commit": "commit_hash",
    "host": "host",
    "job_program": "program",
    "job_repo": "repository",
    "sweep": "sweep_name",
    "config": "config",
    "summary_metrics": "summary_metrics",
    "state": "state",
}


def find_project(store: Store, entity: str | None, name: str | None) -> Record | None:
    """Return a project, or None when nothing was ever sent to it."""
    return store.row(
        "SELECT * FROM projects WHERE entity = ? AND name = ?", entity or DEMO_ENTITY, name or DEFAULT_PROJECT
    )


def make_project(store: Store, entity: str | None, name: str | None) -> Record:
    """Return a project, made on the fly when there is none, as the first run of one makes it."""
    entity, name = entity or DEMO_ENTITY, name or DEFAULT_PROJECT
    store.write("INSERT OR IGNORE INTO projects (entity, name, created_at) VALUES (?, ?, ?)", entity, name, store.now())
    project = find_project(store, entity, name)
    assert project is not None
    return project


def find_run(store: Store, entity: str | None, project: str | None, name: str) -> Record | None:
    """Return a run by its path, or None."""
    return store.row(
        f"{_RUN} WHERE projects.entity = ? AND projects.name = ? AND runs.name = ?",
        entity or DEMO_ENTITY,
        project or DEFAULT_PROJECT,
        name,
    )


def run_by_number(store: Store, number: int | None) -> Record | None:
    """Return a run by the number of its row, or None."""
    return store.row(f"{_RUN} WHERE runs.number = ?", number)


def runs_of(store: Store, project: Record) -> list[Record]:
    """Every run of a project, the oldest first."""
    return store.rows(f"{_RUN} WHERE runs.project = ? ORDER BY runs.number", project["number"])


def upsert_run(store: Store, number: int | None, wanted: Mapping[str, Any]) -> tuple[Record, bool]:
    """Make a run, or change what the request names on the one there is.

    Parameters
    ----------
    number
        The number of the run's row when the client knows its storage id.
    wanted
        The fields of UpsertBucket's input, in snake case; None leaves a field as it is.

    Returns
    -------
    The run, and whether it is new. A new run is "running". One that exists keeps its state, whatever it is (assumed;
    the next file stream request makes it "running" again).
    """
    run = run_by_number(store, number)
    if run is None:
        project = make_project(store, wanted.get("entity_name"), wanted.get("model_name"))
        name = wanted.get("name") or new_name()
        run = find_run(store, project["entity"], project["name"], name)
        inserted = run is None
        if run is None:
            run = _insert_run(store, project, name)
    else:
        inserted = False
    changes = {column: wanted[field] for field, column in _SETTABLE.items() if wanted.get(field) is not None}
    if wanted.get("tags") is not None:
        changes["tags"] = json.dumps(wanted["tags"])
    if wanted.get("name"):
        # A client that runs names the run; the public API, which only edits it, gives nothing but its id (measured).
        changes["heartbeat_at"] = store.now()
    if changes:
        columns = ", ".join(f"{column} = ?" for column in changes)
        store.write(f"UPDATE runs SET {columns} WHERE number = ?", *changes.values(), run["number"])
    changed = run_by_number(store, run["number"])
    assert changed is not None
    return changed, inserted


def state_of(store: Store, run: Record) -> str:
    """Say what a run's state is: what was last heard of it, or "crashed" when that is too long ago."""
    silent = store.now() - run["heartbeat_at"]
    return "crashed" if run["state"] == "running" and silent > CRASHED_AFTER_SECONDS else run["state"]


def count_lines(store: Store, run: Record, file: str) -> int:
    """Count the lines that the server holds of one of a run's streamed files."""
    return store.number("SELECT count(*) FROM lines WHERE run = ? AND file = ?", run["number"], file)


def lines_of(store: Store, run: Record, file: str, first: int = 0, count: int = -1) -> list[str]:
    """Lines of a streamed file in order of their offset; `count` -1 means all."""
    found = store.rows(
        "SELECT line FROM lines WHERE run = ? AND file = ? AND position >= ? ORDER BY position LIMIT ?",
        run["number"],
        file,
        first,
        count,
    )
    return [row["line"] for row in found]


def last_line(store: Store, run: Record, file: str) -> str | None:
    """Return the line with the highest offset, or None."""
    found = store.row(
        "SELECT line FROM lines WHERE run = ? AND file = ? ORDER BY position DESC LIMIT 1", run["number"], file
    )
    return found["line"] if found else None


def history_between(
    store: Store, run: Record, first: int | None, end: int | None, count: int | None = None
) -> list[str]:
    """Lines of the history, in order, whose `_step` is at least `first` and less than `end` (None: no limit).

    Of the first `count` lines, where that is not None.
    """
    lines = "SELECT position, step, line FROM lines WHERE run = ? AND file = ?"
    if count is not None:
        lines = f"SELECT * FROM ({lines} ORDER BY position LIMIT {count})"
    found = store.rows(
        f"SELECT line FROM ({lines}) WHERE (? IS NULL OR step >= ?) AND (? IS NULL OR step < ?) ORDER BY position",
        *(run["number"], HISTORY_FILE, first, first, end, end),
    )
    return [row["line"] for row in found]


def iso_time(seconds: float) -> str:
    """Seconds since the epoch as the server writes a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _insert_run(store: Store, project: Record, name: str) -> Record:
    earlier = store.number("SELECT count(*) FROM runs WHERE project = ?", project["number"])
    number = store.write(
        "INSERT INTO runs (project, name, display_name, state, created_at, heartbeat_at) VALUES (?, ?, ?, ?, ?, ?)",
        *(project["number"], name, f"run-{earlier + 1}", "running", store.now(), store.now()),
    )
    run = run_by_number(store, number)
    assert run is not None
    return run


def new_name() -> str:
    """Make the kind of name that the server gives: eight letters and digits."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))

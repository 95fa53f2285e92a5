"""What the GraphQL schema's types for people, projects and runs answer, field by field."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from runferry_standin import as_served, storage
from runferry_standin.connections import connection
from runferry_standin.filestream import parse_line
from runferry_standin.filters import matching, ordering
from runferry_standin.runs import (
    EVENTS_FILE,
    HISTORY_FILE,
    OUTPUT_FILE,
    find_project,
    find_run,
    history_between,
    last_line,
    lines_of,
    runs_of,
    state_of,
)
from runferry_standin.sampling import DEFAULT_SAMPLES, sample, sampled_history
from runferry_standin.store import identifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.behaviour import Behaviour
    from runferry_standin.context import Context
    from runferry_standin.store import Record

SERVER_INFO: Record = {
    # 0.22 looks up what it may do by the newest client version that the server knows.
    "cli_version_info": {"max_cli_version": "0.99.0"},
    # No feature of newer servers is claimed: clients then ask in the oldest way they know, which is what is answered.
    "features": [],
}


def _project(_: Any, context: Context, name: str | None = None, entity_name: str | None = None) -> Record | None:
    return find_project(context.store, entity_name or context.account.name, name)


def _projects(_: Any, context: Context, entity_name: str | None = None, **page: Any) -> Record:
    store = context.store
    return connection(
        store.rows("SELECT * FROM projects WHERE entity = ? ORDER BY number", entity_name or context.account.name),
        **page,
    )


def _run(project: Record, context: Context, name: str, **_: Any) -> Record | None:
    return find_run(context.store, project["entity"], project["name"], name)


_RESUMING = "asked for by a client that goes on with it"
"""In a run's record."""


def _bucket(project: Record, context: Context, name: str, **_: Any) -> Record | None:
    run = _run(project, context, name)
    return run and run | {_RESUMING: True}


def _behaviour(run: Record, context: Context) -> Behaviour:
    return context.behaviour.to_resuming() if _RESUMING in run else context.behaviour


def _selected(project: Record, context: Context, filters: str | None) -> list[Record]:
    accepts = matching(filters, context.behaviour.most_names)
    # With the state that a client would see, so that it can ask for the crashed ones.
    runs = [run | {"state": state_of(context.store, run)} for run in runs_of(context.store, project)]
    return [run for run in runs if accepts(run)]


def _runs(
    project: Record, context: Context, filters: str | None = None, order: str | None = None, **page: Any
) -> Record:
    key, descending = ordering(order)
    first = page.pop("first", None)
    first = None if first is None else min(first, context.behaviour.longest_page)
    runs = sorted(_selected(project, context, filters), key=key, reverse=descending)
    return connection(runs, first, **page)


def _wandb_config(run: Record, _: Context, keys: list[str] | None = None) -> str:
    internal: dict[str, Any] = as_served.read_json(run["config"]).get("_wandb", {}).get("value", {})
    return json.dumps({key: value for key, value in internal.items() if keys is None or key in keys})


def _tail(file: str) -> Callable[[Record, Context], str]:
    def resolve(run: Record, context: Context) -> str:
        line = context.lagging.tail(run, _behaviour(run, context), file)
        return json.dumps([] if line is None else [line])

    return resolve


def _count(file: str) -> Callable[[Record, Context], int]:
    return lambda run, context: context.lagging.count(run, _behaviour(run, context), file)


def _history_keys(run: Record, context: Context) -> Record | None:
    # `lastStep` is what the client reads of it. That it is the highest step, not the last row's, is assumed.
    last_step = context.lagging.last_step(run, _behaviour(run, context))
    if last_step is None:
        return None
    keys = {key: {"typeCounts": [{"type": kind}]} for key, kind in json.loads(run["history_keys"]).items()}
    return {"lastStep": last_step, "sets": [], "keys": keys}


def _history(
    run: Record,
    context: Context,
    min_step: int | None = None,
    max_step: int | None = None,
    samples: int | None = None,
) -> list[str]:
    # maxStep is exclusive here (the client's source says so), unlike in sampledHistory.
    if max_step is not None and context.behaviour.history_end == "inclusive":
        max_step += 1
    if context.behaviour.longest_history is not None:
        samples = min(context.behaviour.longest_history, DEFAULT_SAMPLES if samples is None else samples)
    late = context.behaviour.rows_lag
    count = context.lagging.position(run, late).counts[HISTORY_FILE] if late > 0 else None
    lines = sample(history_between(context.store, run, min_step, max_step, count), samples)
    return [as_served.row(context.behaviour, line) for line in lines]


def _events(run: Record, context: Context, samples: int | None = None) -> list[str]:
    return sample(lines_of(context.store, run, EVENTS_FILE), samples)


def _system_metrics(run: Record, context: Context) -> str:
    return json.dumps(parse_line(last_line(context.store, run, EVENTS_FILE) or "{}"))


def _parquet_history(run: Record, context: Context, live_keys: list[str]) -> Record:
    first = lines_of(context.store, run, HISTORY_FILE, count=1)
    row = parse_line(first[0]) if first else {}
    return {"parquet_urls": [], "live_data": [{key: row[key] for key in live_keys if key in row}] if row else []}


def _log_lines(run: Record, context: Context, last: int | None = None, **page: Any) -> Record:
    page.pop("use_improved_pagination", None)
    lines = [{"number": i, "line": line} for i, line in enumerate(lines_of(context.store, run, OUTPUT_FILE))]
    return connection(lines if last is None else lines[-last:], **page)


def _files(
    run: Record, context: Context, names: list[str | None] | None = None, pattern: str | None = None, **page: Any
) -> Record:
    files: list[Record] = [file | {"run_record": run} for file in _listed(run, context)]
    if names:
        files = [file for file in files if file["name"] in names]
    if pattern:
        # SQL's LIKE: % for any text, _ for one character.
        like = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
        files = [file for file in files if re.fullmatch(like, file["name"])]
    return connection(files, **page)


def _listed(run: Record, context: Context) -> list[Record]:
    """Return the files that the server lists by now."""
    seen = context.store.now() - context.behaviour.files_lag
    return [file for file in storage.run_files(context.store, run) if file["updated_at"] <= seen]


def _file_url(file: Record, context: Context, **_: Any) -> str | None:
    run = file.get("run_record")
    return context.links.run_file(run, file["name"]) if run else _direct_url(file, context)


def _direct_url(file: Record, context: Context) -> str | None:
    number = file.get("number")
    if number is None:
        return file.get("refers_to")
    run = file.get("run_record")
    kind = file.get("kind", "file")
    name = file.get("storage_path") if kind == "artifact" else file.get("name") if kind == "manifest" else None
    return context.links.stored(kind, number, run["name"] if run else None, name)


def _entity_by_name(_: Any, context: Context, name: str | None = None) -> Record:
    return context.accounts.entity(name or context.account.name)


def _user(of: Record, context: Context) -> Record:
    """Return whose a project or a run is: the user of its entity, else the one who asks (assumed)."""
    return (context.accounts.of_name(of["entity"]) or context.account).user


def _organization(_: Any, __: Context, name: str) -> None:
    """None, whatever the `name`: the stand-in has no organizations."""
    del name


def _run_count(project: Record, context: Context, filters: str | None = None) -> int:
    return len(_selected(project, context, filters))


def _sampled_history(run: Record, context: Context, specs: list[str]) -> list[list[Record]]:
    return [sampled_history(context.store, run, each) for each in specs]


_PLAIN: dict[str, Callable[[Record, Context], Any]] = {
    "Query.viewer": lambda _, context: context.account.user,
    "Query.serverInfo": lambda _, __: SERVER_INFO,
    "Project.id": lambda project, _: identifier("Project", project["number"]),
    "Project.internalId": lambda project, _: str(project["number"]),
    "Project.entity": lambda project, context: context.accounts.entity(project["entity"]),
    "Project.entityName": lambda project, _: project["entity"],
    "Project.readOnly": lambda _, __: False,
    "Project.isBenchmark": lambda _, __: False,
    "Project.user": _user,
    "Run.id": lambda run, _: identifier("Run", run["number"]),
    "Run.project": lambda run, context: find_project(context.store, run["entity"], run["project_name"]),
    "Run.projectId": lambda run, _: str(run["project"]),
    "Run.user": _user,
    "Run.state": lambda run, context: state_of(context.store, run),
    "Run.stopped": lambda _, __: False,
    "Run.readOnly": lambda _, __: False,
    "Run.group": lambda run, _: run["group_name"],
    "Run.commit": lambda run, _: run["commit_hash"],
    "Run.tags": lambda run, _: json.loads(run["tags"]),
    "Run.config": lambda run, context: as_served.config(context.behaviour, run["config"]),
    "Run.summaryMetrics": lambda run, context: as_served.summary(
        context.behaviour, context.lagging.summary(run, _behaviour(run, context))
    ),
    "Run.systemMetrics": _system_metrics,
    "Run.historyLineCount": _count(HISTORY_FILE),
    "Run.eventsLineCount": _count(EVENTS_FILE),
    "Run.logLineCount": _count(OUTPUT_FILE),
    "Run.historyTail": _tail(HISTORY_FILE),
    "Run.eventsTail": _tail(EVENTS_FILE),
    "Run.historyKeys": _history_keys,
    "Run.fileCount": lambda run, context: len(_listed(run, context)),
    "File.id": lambda file, _: identifier("File", file.get("number") or 0),
    "File.displayName": lambda file, _: file["name"],
    "File.directUrl": _direct_url,
    "File.uploadUrl": _direct_url,
    "File.uploadHeaders": lambda file, _: file.get("upload_headers", []),
}

_WITH_ARGUMENTS: dict[str, Callable[..., Any]] = {
    "Query.entity": _entity_by_name,
    "Query.organization": _organization,
    "Query.project": _project,
    "Query.model": _project,
    "Query.models": _projects,
    "Project.run": _run,
    "Project.bucket": _bucket,
    "Project.runs": _runs,
    "Project.runCount": _run_count,
    "Run.wandbConfig": _wandb_config,
    "Run.history": _history,
    "Run.events": _events,
    "Run.sampledHistory": _sampled_history,
    "Run.parquetHistory": _parquet_history,
    "Run.logLines": _log_lines,
    "Run.files": _files,
    "File.url": _file_url,
}

RESOLVERS: dict[str, Callable[..., Any]] = _PLAIN | _WITH_ARGUMENTS
"""Who answers a field: called with the record it belongs to, the context, and the field's arguments."""

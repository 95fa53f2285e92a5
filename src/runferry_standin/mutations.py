"""What a client changes on projects and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry_standin import storage
from runferry_standin.problems import NotFoundError
from runferry_standin.runs import find_run, make_project, run_by_number, upsert_run
from runferry_standin.store import identifier, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.context import Context
    from runferry_standin.store import Record


def _upsert_bucket(_: Any, context: Context, wanted: Record) -> Record:
    storage_id = wanted.get("id")
    number = number_of("Run", storage_id) if storage_id else None
    if not wanted.get("name") and storage_id and run_by_number(context.store, number) is None:
        message = f"run {storage_id} not found during upsertBucket"
        raise NotFoundError(message)
    wanted["entity_name"] = wanted.get("entity_name") or context.account.name
    existing = run_by_number(context.store, number) or (
        wanted.get("name") and find_run(context.store, wanted["entity_name"], wanted.get("model_name"), wanted["name"])
    )
    if existing and context.behaviour.is_late:
        context.lagging.note(existing)
    if existing and context.behaviour.states == "kept" and existing["state"] != "running":
        wanted["state"] = None
    run, inserted = upsert_run(context.store, number, wanted)
    return {"bucket": run, "inserted": inserted, "server_settings": {"server_messages": []}}


def _upsert_model(_: Any, context: Context, wanted: Record) -> Record:
    store = context.store
    before = store.number("SELECT count(*) FROM projects")
    project = make_project(store, wanted.get("entity_name") or context.account.name, wanted.get("name"))
    for column in ("description", "access", "views"):
        if wanted.get(column) is not None:
            store.write(f"UPDATE projects SET {column} = ? WHERE number = ?", wanted[column], project["number"])
            project[column] = wanted[column]
    inserted = store.number("SELECT count(*) FROM projects") > before
    return {"project": project, "model": project, "inserted": inserted}


def _delete_run(_: Any, context: Context, wanted: Record) -> Record:
    number = number_of("Run", wanted["id"])
    context.store.write("DELETE FROM runs WHERE number = ?", number)
    return {"client_mutation_id": wanted.get("client_mutation_id")}


def _create_run_files(_: Any, context: Context, wanted: Record) -> Record:
    run = existing_run(context, wanted)
    files = [storage.announce_run_file(context.store, run, name) | {"run_record": run} for name in wanted["files"]]
    return {"run_id": identifier("Run", run["number"]), "upload_headers": [], "files": files}


def _alert(_: Any, context: Context, wanted: Record) -> Record:
    run = existing_run(context, wanted)
    context.store.write(
        "INSERT INTO alerts (run, title, text, severity, created_at) VALUES (?, ?, ?, ?, ?)",
        *(run["number"], wanted["title"], wanted["text"], wanted.get("severity"), context.store.now()),
    )
    return {"success": True}


def existing_run(context: Context, wanted: Record) -> Record:
    """Return the run that a mutation's input names with entity_name, project_name and run_name.

    Raises
    ------
    NotFoundError
        When there is none.
    """
    run = find_run(context.store, wanted["entity_name"], wanted["project_name"], wanted["run_name"])
    if run is None:
        message = f"run {wanted['entity_name']}/{wanted['project_name']}/{wanted['run_name']} not found"
        raise NotFoundError(message)
    return run


RESOLVERS: dict[str, Callable[..., Any]] = {
    "Mutation.upsertBucket": _upsert_bucket,
    "Mutation.upsertModel": _upsert_model,
    "Mutation.deleteRun": _delete_run,
    "Mutation.createRunFiles": _create_run_files,
    "Mutation.notifyScriptableRunAlert": _alert,
}

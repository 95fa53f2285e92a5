"""What tests ask the stand-in and tell it, under /standin/: nothing of this is the real server's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from runferry_standin import artifacts, manifests, storage
from runferry_standin.as_served import read_json
from runferry_standin.behaviour import BehaviourError, behaviour_of
from runferry_standin.faults import RuleError
from runferry_standin.filestream import parse_line, write_history
from runferry_standin.front import CAPTIVE_PORTAL
from runferry_standin.runs import (
    EVENTS_FILE,
    HISTORY_FILE,
    OUTPUT_FILE,
    count_lines,
    find_run,
    lines_of,
    run_by_number,
    runs_of,
    state_of,
)
from runferry_standin.sampling import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from runferry_standin.app import App
    from runferry_standin.store import Record, Store


def routes(app: App) -> list[Route]:
    """Return the routes under /standin/."""

    def guarded(answer: Callable[[App, Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return app.refuses(request) or await answer(app, request)

        return endpoint

    return [
        Route("/standin/runs/{entity}/{project}/{run}", guarded(_run), methods=["GET", "PATCH"]),
        Route("/standin/runs/{entity}/{project}", guarded(_runs), methods=["GET"]),
        Route("/standin/requests", guarded(_requests), methods=["GET", "DELETE"]),
        Route("/standin/faults", guarded(_faults), methods=["GET", "PUT", "DELETE"]),
        Route("/standin/clock", guarded(_clock), methods=["PUT"]),
        Route("/standin/behaviour", guarded(_behaviour), methods=["GET", "PUT"]),
        Route("/standin/accounts", guarded(_accounts), methods=["PUT"]),
        Route("/standin/captive-portal", _captive_portal, methods=["GET", "POST", "PUT"]),
    ]


def run_as_json(store: Store, run: Record) -> dict[str, Any]:
    """Return all that the server holds of a run, parsed; NaN and infinities as strings."""
    config = read_json(run["config"])
    return {
        "entity": run["entity"],
        "project": run["project_name"],
        "run": run["name"],
        "display_name": run["display_name"],
        "state": state_of(store, run),
        "exit_code": run["exit_code"],
        "group": run["group_name"],
        "sweep": run["sweep_name"],
        "job_type": run["job_type"],
        "tags": json.loads(run["tags"]),
        "notes": run["notes"],
        "config": plain({key: item["value"] for key, item in config.items() if key != "_wandb" and "value" in item}),
        "summary": plain(read_json(run["summary_metrics"])),
        "history": [plain(parse_line(line)) for line in lines_of(store, run, HISTORY_FILE)],
        "history_line_count": count_lines(store, run, HISTORY_FILE),
        "last_step": run["last_step"],
        "events_count": count_lines(store, run, EVENTS_FILE),
        "output": lines_of(store, run, OUTPUT_FILE),
        "files": [
            {"name": file["name"], "size_bytes": file["size_bytes"], "md5": file["md5"]}
            for file in storage.run_files(store, run)
        ],
        "artifacts": [_artifact(store, found) for found in artifacts.outputs_of(store, run)],
        "used_artifacts": [
            _artifact(store, found)
            for found in store.rows(
                "SELECT artifacts.* FROM artifacts JOIN uses ON artifact = artifacts.number WHERE uses.run = ?",
                run["number"],
            )
        ],
        "alerts": store.rows("SELECT title, text, severity FROM alerts WHERE run = ? ORDER BY number", run["number"]),
    }


def _artifact(store: Store, artifact: Record) -> dict[str, Any]:
    collection = artifacts.collection_by_number(store, artifact["collection"])
    assert collection is not None
    index = artifact["version_index"]
    logged_by = run_by_number(store, artifact["run"])
    return {
        "name": collection["name"] if index is None else f"{collection['name']}:v{index}",
        "type": collection["type"],
        "state": artifact["state"],
        "aliases": [alias["alias"] for alias in artifacts.aliases_of(store, artifact, collection)],
        "tags": json.loads(artifact["tags"]),
        "logged_by": logged_by and logged_by["name"],
        "files": {name: entry.get("size") for name, entry in manifests.entries_of(store, artifact).items()},
    }


async def _run(app: App, request: Request) -> Response:
    path = request.path_params
    run = find_run(app.store, path["entity"], path["project"], path["run"])
    if run is None:
        return JSONResponse({"error": "no such run"}, 404)
    if request.method == "PATCH":
        _change_rows(app.store, run, await request.json())
    requests = dict(app.log.by_run.get(run["name"], {}))
    return JSONResponse(run_as_json(app.store, run) | {"requests": requests})


def _change_rows(store: Store, run: Record, wanted: dict[str, str | None]) -> None:
    """Set or delete history lines that are stored, by their position; the cursor and the counts follow."""
    with store.transaction():
        for position, line in wanted.items():
            if line is None:
                store.write(
                    "DELETE FROM lines WHERE run = ? AND file = ? AND position = ?",
                    *(run["number"], HISTORY_FILE, int(position)),
                )
            else:
                write_history(store, run, [(int(position), line)])
        store.write("DELETE FROM cursors WHERE run = ? AND file = ?", run["number"], HISTORY_FILE)


async def _runs(app: App, request: Request) -> Response:
    path = request.path_params
    project = app.store.row("SELECT * FROM projects WHERE entity = ? AND name = ?", path["entity"], path["project"])
    return JSONResponse([run["name"] for run in runs_of(app.store, project)] if project else [])


async def _requests(app: App, request: Request) -> Response:
    if request.method == "DELETE":
        app.log.clear()
    return JSONResponse(app.log.shown())


async def _faults(app: App, request: Request) -> Response:
    if request.method != "GET":
        try:
            app.faults.replace([] if request.method == "DELETE" else await request.json())
        except RuleError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except ValueError:
            return JSONResponse({"error": "expected a rule or a list of rules in JSON"}, 400)
        app.front.release()
    return JSONResponse([rule.shown() for rule in app.faults.rules])


async def _clock(app: App, request: Request) -> Response:
    """Set the server's clock ahead: {"seconds_ahead": 301} makes it miss the heartbeats of 5 minutes."""
    app.store.seconds_ahead = float((await request.json())["seconds_ahead"])
    return JSONResponse({"seconds_ahead": app.store.seconds_ahead})


async def _behaviour(app: App, request: Request) -> Response:
    """Set how the server behaves; what is not named is as by default."""
    if request.method == "PUT":
        try:
            app.behaviour = behaviour_of(await request.json())
        except BehaviourError as error:
            return JSONResponse({"error": str(error)}, error.status)
    return JSONResponse(app.behaviour.shown())


async def _accounts(app: App, request: Request) -> Response:
    """Add a user: {"name": "ada", "key": "40 characters or more", "teams": ["lab"]}."""
    wanted = await request.json()
    account = app.accounts.put(wanted["key"], wanted["name"], wanted.get("teams", []))
    return JSONResponse({"name": account.name, "teams": account.teams})


async def _captive_portal(request: Request) -> Response:
    del request
    return HTMLResponse(CAPTIVE_PORTAL)

"""Small pages for people, at the addresses that wandb prints: a project's runs, and one run."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from runferry_standin.filestream import parse_line
from runferry_standin.inspection import run_as_json
from runferry_standin.runs import HISTORY_FILE, count_lines, find_project, find_run, iso_time, runs_of, state_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request

    from runferry_standin.app import App

LAST_ROWS = 50
"""Rows of the history that a run's page shows."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .15rem 1rem .15rem 0; border-bottom: 1px solid #8884; vertical-align: top; }}
div {{ overflow-x: auto; }} footer {{ margin-top: 3rem; opacity: .7; }}
</style></head><body>
{body}
<footer>runferry's stand-in for a W&amp;B server: for demonstration and tests, on this machine only.</footer>
</body></html>
"""

# Nothing is loaded and no script runs, whatever a run is called.
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'"}


def routes(app: App) -> list[Route]:
    """Return the routes of the pages."""

    def guarded(answer: Callable[[App, Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return app.refuses(request) or answer(app, request)

        return endpoint

    return [
        Route("/", guarded(_projects)),
        Route("/{entity}/{project}", guarded(_project)),
        Route("/{entity}/{project}/workspace", guarded(_project)),
        Route("/{entity}/{project}/runs/{run}", guarded(_run)),
        Route("/{entity}/{project}/runs/{run}/{tab:path}", guarded(_run_tab)),
    ]


def _projects(app: App, request: Request) -> Response:
    del request
    projects = app.store.rows("SELECT * FROM projects ORDER BY entity, name")
    rows = [[_link((each["entity"], each["name"]), f"{each['entity']}/{each['name']}")] for each in projects]
    return _page("Projects", _table(["project"], rows) if rows else "<p>Nothing was sent yet.</p>")


def _project(app: App, request: Request) -> Response:
    path = request.path_params
    project = find_project(app.store, path["entity"], path["project"])
    if project is None:
        return _page("No such project", "<p>Nothing was sent to it yet.</p>", status=404)
    rows = [
        [
            _link((run["entity"], run["project_name"], "runs", run["name"]), run["display_name"]),
            *map(_text, (run["name"], state_of(app.store, run), run["group_name"] or "")),
            *map(_text, (count_lines(app.store, run, HISTORY_FILE), iso_time(run["created_at"]))),
        ]
        for run in runs_of(app.store, project)
    ]
    columns = ["run", "id", "state", "group", "history lines", "created"]
    return _page(f"{project['entity']}/{project['name']}", _table(columns, rows))


def _run(app: App, request: Request) -> Response:
    path = request.path_params
    run = find_run(app.store, path["entity"], path["project"], path["run"])
    if run is None:
        return _page("No such run", "<p>Nothing was sent of it yet.</p>", status=404)
    found = run_as_json(app.store, run)
    last = [parse_line(json.dumps(row)) for row in found["history"][-LAST_ROWS:]]
    columns = list(dict.fromkeys(["_step", *sorted({key for row in last for key in row if not key.startswith("_")})]))
    facts = [
        ("project", _link((run["entity"], run["project_name"]), f"{run['entity']}/{run['project_name']}")),
        *((name, _text(found[name])) for name in ("run", "state", "exit_code", "group", "history_line_count")),
    ]
    body = [
        _table([], facts),
        "<h2>Config</h2>",
        _table([], [(_text(key), _value(value)) for key, value in sorted(found["config"].items())]),
        "<h2>Summary</h2>",
        _table([], [(_text(key), _value(value)) for key, value in sorted(found["summary"].items())]),
        f"<h2>Last {len(last)} rows of the history</h2>",
        _table(columns, [[_value(row.get(column, "")) for column in columns] for row in last]),
        "<h2>Files</h2>",
        _table(["name", "bytes"], [(_text(each["name"]), _text(each["size_bytes"])) for each in found["files"]]),
    ]
    return _page(found["display_name"] or found["run"], "\n".join(body))


def _run_tab(app: App, request: Request) -> Response:
    del app
    path = request.path_params
    # What wandb prints for logs and files has a page of its own on the real server.
    return RedirectResponse(_address((path["entity"], path["project"], "runs", path["run"])))


def _page(title: str, body: str, status: int = 200) -> Response:
    content = f"<h1>{escape(title)}</h1>\n{body}"
    return HTMLResponse(_PAGE.format(title=escape(title), body=content), status, _HEADERS)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; `rows` are HTML already, `columns` are text."""
    head = "".join(f"<th scope=col>{escape(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _text(value: Any) -> str:
    return "" if value is None else escape(str(value))


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return _text(value if isinstance(value, str | int) else json.dumps(value))


def _link(parts: Iterable[str], text: str) -> str:
    return f'<a href="{escape(_address(parts))}">{escape(text)}</a>'


def _address(parts: Iterable[str]) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)

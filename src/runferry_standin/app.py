"""The stand-in's HTTP side: which address is answered by what, and who may ask."""

from __future__ import annotations

import asyncio
import base64
import binascii
import gzip
import hmac
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runferry_standin import artifacts, distortion, graphql, storage
from runferry_standin.accounts import Account, Accounts
from runferry_standin.behaviour import Behaviour
from runferry_standin.context import Context
from runferry_standin.faults import Faults
from runferry_standin.filestream import MalformedError, receive
from runferry_standin.front import DISTORT, LOSE, Front
from runferry_standin.lagging import Lagging
from runferry_standin.links import Links, signature
from runferry_standin.problems import RefusedError
from runferry_standin.requests import RequestLog
from runferry_standin.runs import find_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from runferry_standin.store import Store

DEMO_KEY = "de30" * 10
"""The key that everybody knows: 40 characters, since the clients refuse shorter ones."""


@dataclass
class App:
    """The ASGI application.

    Parameters
    ----------
    key
        What the clients must give as WANDB_API_KEY. With any other than DEMO_KEY, the pages and the tests' addresses
        ask for it too (user name "api").
    storage_port
        The port on which contents are put and fetched; None: the same as everything else.
    further
        Functions that return what is served besides W&B's own addresses: the pages, and what tests ask.
    """

    store: Store
    key: str = DEMO_KEY
    storage_port: int | None = None
    further: Sequence[Callable[[App], list[Route]]] = ()
    faults: Faults = field(default_factory=Faults)
    log: RequestLog = field(default_factory=RequestLog)
    behaviour: Behaviour = field(default_factory=Behaviour)

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.key)
        self.lagging = Lagging(self.store)
        routes = [
            Route("/graphql", self.graphql, methods=["POST"]),
            Route("/files/{entity}/{project}/{run}/file_stream", self.file_stream, methods=["POST"]),
            Route("/files/{entity}/{project}/{run}/{name:path}", self.run_file, methods=["GET"]),
            Route("/storage/{kind}/{number:int}", self.put, methods=["PUT"]),
            Route("/storage/{kind}/{number:int}", self.get, methods=["GET"]),
            Route("/artifacts/{entity}/{digest}", self.artifact_content, methods=["GET"]),
            Route("/artifactsV2/{path:path}", self.artifact_content, methods=["GET"]),
            Route("/ready", _ready, methods=["GET"]),
            *(route for routes_of in self.further for route in routes_of(self)),
        ]
        self.front = Front(Starlette(routes=routes), self.faults, self.log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] == "http" and self.storage_port is not None:
            # Each port serves its own, so that what blocks the storage's port blocks the storage.
            on_storage_port = scope["server"][1] == self.storage_port
            if scope["path"].startswith("/storage/") != on_storage_port:
                await Response("not on this port", 404)(scope, receive, send)
                return
        await self.front(scope, receive, send)

    def links(self, request: Request) -> Links:
        """Return what makes addresses that this client can reach: by the name by which it reached the server."""
        base = request.base_url
        storage_base = base if self.storage_port is None else base.replace(port=self.storage_port)
        return Links(str(base).rstrip("/"), str(storage_base).rstrip("/"), self.key)

    def account(self, request: Request) -> Account | None:
        """Return whose key the request carries, as `Authorization: Basic api:<key>`, or None."""
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(credentials).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        user, _, password = decoded.partition(":")
        return self.accounts.of_key(password) if scheme.lower() == "basic" and user == "api" else None

    def knows(self, request: Request) -> bool:
        """Say whether the request carries the key of a user."""
        return self.account(request) is not None

    def refuses(self, request: Request) -> Response | None:
        """Return the answer to one who may not look at pages or steer the server, or None for one who may."""
        if self.key == DEMO_KEY or self.knows(request):
            return None
        return Response("the user name is api, the password the key", 401, {"WWW-Authenticate": "Basic"})

    async def graphql(self, request: Request) -> Response:
        """Answer POST /graphql."""
        body = await _json(request)
        if not isinstance(body, dict) or not isinstance(cast("dict[str, Any]", body).get("query"), str):
            return _refusal(400, "expected a JSON object with a query")
        fields = cast("dict[str, Any]", body)
        query: str = fields["query"]
        account = self.account(request)
        if account is None:
            refused = graphql.not_logged_in(query)
            return JSONResponse(refused.body, refused.status)
        answer = graphql.answer(
            Context(self.store, self.links(request), self.behaviour, self.lagging, self.accounts, account),
            query,
            fields.get("variables"),
            # Some clients send an empty name for none (measured: 0.27).
            fields.get("operationName") or None,
            keep=not request.scope.get(LOSE),
        )
        if self.behaviour.heavy_run_seconds:
            # Not in the store's time: others are answered meanwhile.
            await asyncio.sleep(self.behaviour.heavy_run_seconds * graphql.heavy_runs(answer.body))
        return JSONResponse(answer.body, answer.status)

    async def file_stream(self, request: Request) -> Response:
        """Answer POST /files/<entity>/<project>/<run>/file_stream."""
        body = await _json(request)
        if not self.knows(request):
            return _refusal(401, "user is not logged in")
        path = request.path_params
        run = find_run(self.store, path["entity"], path["project"], path["run"])
        if run is None:
            return _refusal(404, f"run {path['entity']}/{path['project']}/{path['run']} not found")
        if self.behaviour.is_late:
            self.lagging.note(run)
        rules = request.scope.get(DISTORT, [])
        try:
            with self.store.transaction(keep=not request.scope.get(LOSE)):
                receive(self.store, run, body, self.behaviour, distortion.of_lines(rules))
                distortion.write_as_others(self.store, run, body, rules)
        except MalformedError as error:
            return _refusal(400, str(error))
        except RefusedError as error:
            return _refusal(error.status, str(error))
        # What else the real server says in it is not known; the client looks at `stopped` only.
        return JSONResponse({"exitcode": None, "limits": {}})

    async def run_file(self, request: Request) -> Response:
        """Answer GET /files/<entity>/<project>/<run>/<name>."""
        if not self.knows(request):
            return _refusal(401, "user is not logged in")
        path = request.path_params
        run = find_run(self.store, path["entity"], path["project"], path["run"])
        found = run and self.store.row("SELECT * FROM files WHERE run = ? AND name = ?", run["number"], path["name"])
        return _content(found)

    async def put(self, request: Request) -> Response:
        """Answer PUT of a content at an address of `Links.stored`."""
        content = await request.body()
        kind, number = request.path_params["kind"], request.path_params["number"]
        if not self._signed(request):
            return _refusal(403, "the address is not one that this server gave")
        if storage.get(self.store, kind, number) is None:
            return _refusal(404, "no such file was announced")
        wanted = request.headers.get("content-md5")
        if wanted and wanted != storage.md5_of(content):
            return _refusal(400, "the content is not the one of Content-MD5")
        with self.store.transaction(keep=not request.scope.get(LOSE)):
            storage.put(self.store, kind, number, content)
        return Response(status_code=200, headers={"ETag": f'"{storage.md5_of(content)}"'})

    async def get(self, request: Request) -> Response:
        """Answer GET of a content at an address of `Links.stored`."""
        if not self._signed(request):
            return _refusal(403, "the address is not one that this server gave")
        return _content(storage.get(self.store, request.path_params["kind"], request.path_params["number"]))

    async def artifact_content(self, request: Request) -> Response:
        """Answer the older addresses of an artifact's files, which name them by the MD5 of their content."""
        if not self.knows(request):
            return _refusal(401, "user is not logged in")
        if "digest" in request.path_params:
            digest: str = request.path_params["digest"]
        else:
            # 0.22: region/entity/artifact/md5; later: region/entity/project/collection/artifact/md5/name (measured).
            parts = request.path_params["path"].split("/")
            digest = parts[3] if len(parts) == 4 else (parts[5] if len(parts) > 5 else "")
        return _content(artifacts.content_by_md5(self.store, artifacts.base64_of_hex(digest) or ""))

    def _signed(self, request: Request) -> bool:
        kind, number = request.path_params["kind"], request.path_params["number"]
        given = request.query_params.get("signature", "")
        return kind in storage.TABLES and hmac.compare_digest(given, signature(self.key, kind, number))


async def _json(request: Request) -> Any:
    body = await request.body()
    try:
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return json.loads(body)
    except (ValueError, OSError, EOFError, zlib.error, RecursionError):
        return None


async def _ready(request: Request) -> Response:
    del request
    return JSONResponse({"ready": True})


def _content(found: dict[str, Any] | None) -> Response:
    if not found or found["content"] is None:
        return _refusal(404, "no such file")
    return Response(found["content"], media_type=found.get("mimetype") or "application/octet-stream")


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"errors": [{"message": message}]}, status)

"""The first that a request meets: it is counted, and what a test asked for is done to it."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from runferry_standin.faults import REDIRECTS, ROW_ACTIONS
from runferry_standin.requests import RequestLog, kind_and_run

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runferry_standin.faults import Faults, Rule

LOSE = "standin.lose"
"""In a request's scope: answer as usual, store nothing."""

DISTORT = "standin.distort"
"""In a request's scope: the rules about the rows that it carries."""

CAPTIVE_PORTAL = "<!doctype html><title>Sign in</title><p>Sign in to use this network."

_connections: dict[tuple[Any, Any], asyncio.Transport] = {}


class Protocol(H11Protocol):
    """uvicorn's HTTP protocol, with its connections in a register: an application cannot reach them otherwise."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] - as in the base class
        """Register the connection."""
        super().connection_made(transport)
        _connections[self.client, self.server] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        _connections.pop((self.client, self.server), None)
        super().connection_lost(exc)


class Front:
    """Counts requests and does to them what the rules in force say; passes the others on."""

    def __init__(self, app: ASGIApp, faults: Faults, log: RequestLog) -> None:
        self.app = app
        self.faults = faults
        self.log = log
        self._changed = asyncio.Event()

    def release(self) -> None:
        """End what earlier rules began: requests that hang are dropped, slow ones go on."""
        self._changed.set()
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Let nothing hang or wait from now on."""
        self._changed.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http" or scope["path"].startswith("/standin/"):
            await self.app(scope, receive, send)
            return
        begun = time.monotonic()
        if scope["path"] == "/graphql" or self.faults.need_bodies:
            body = await _read(receive)
            receive = _replay(body, receive)
        else:
            body = b""
        kind, run = kind_and_run(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), body)
        request = _Request(scope, receive, send)
        try:
            await self._answer(request, self.faults.actions_for(kind, run, body))
        finally:
            entry = {"method": scope["method"], "path": scope["path"], "status": request.status}
            self.log.add(kind, run, entry | {"seconds": round(time.monotonic() - begun, 4)})

    async def _answer(self, request: _Request, actions: list[Rule]) -> None:
        for rule in actions:
            if rule.action in ROW_ACTIONS:
                request.scope.setdefault(DISTORT, []).append(rule)
                continue
            if rule.action != "slow":
                await self._misbehave(request, rule)
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), rule.value)
        await self.app(request.scope, request.receive, request.send)

    async def _misbehave(self, request: _Request, rule: Rule) -> None:
        if rule.action == "drop":
            await self._drop(request, rule.value)
        elif rule.action == "lose":
            request.scope[LOSE] = True
            await self.app(request.scope, request.receive, request.send)
        elif rule.action == "hang":
            await self._hang(request)
        else:
            # Read to its end first, as a server that answers properly does; the client may not look before.
            await _read(request.receive)
            await _response(rule, request.scope["path"])(request.scope, request.receive, request.send)

    async def _hang(self, request: _Request) -> None:
        changed = self._changed
        await _read(request.receive)
        waiting = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(request.receive())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        await request.drop(abort=True)

    async def _drop(self, request: _Request, where: str) -> None:
        if where == "reading":
            await request.receive()
        if where != "answering":
            await request.drop(abort=True)
            return
        start, body = await _captured(self.app, request)
        request.status = None
        half = body[: len(body) // 2]
        if half:
            # Under the whole answer's Content-Length.
            await request.raw_send(start)
            await request.raw_send({"type": "http.response.body", "body": half, "more_body": True})
        await request.drop(abort=False)


class _Request:
    """A request under way: remembers the status it is answered with, and can drop its connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.raw_send = send
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self.raw_send(message)

    async def drop(self, *, abort: bool) -> None:
        """Close the connection: at once, or after what was sent has gone out."""
        transport = _connections.get((self.scope["client"], self.scope["server"]))
        if transport is not None:
            if abort:
                transport.abort()
            else:
                transport.close()
        # Until uvicorn knows of it: it would answer 500 for an application that returned without an answer.
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _response(rule: Rule, path: str) -> Response:
    if rule.action == "html":
        return HTMLResponse(CAPTIVE_PORTAL)
    headers = dict(rule.headers or {})
    if rule.action == "limit":
        # Whole seconds, and never too few of them.
        left = str(math.ceil(rule.seconds_left()))
        headers |= {"ratelimit-limit": str(rule.value["requests"]), "ratelimit-remaining": "0", "ratelimit-reset": left}
        return JSONResponse({"errors": [{"message": "rate limit exceeded"}]}, 429, headers)
    if rule.value in REDIRECTS:
        headers.setdefault("location", rule.location.replace("{path}", path))
    if rule.body is None:
        # The form in which the real server says most errors (quoted in wandb/wandb issue 9620).
        return JSONResponse({"errors": [{"message": f"refused by a rule: {rule.value}"}]}, rule.value, headers)
    if isinstance(rule.body, str):
        return PlainTextResponse(rule.body, rule.value, headers)
    return Response(json.dumps(rule.body), rule.value, headers, "application/json")


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _captured(app: ASGIApp, request: _Request) -> tuple[Message, bytes]:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(request.scope, request.receive, keep)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])

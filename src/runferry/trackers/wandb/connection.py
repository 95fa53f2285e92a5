"""Send one request to a W&B server, with patience for one that is in trouble."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Protocol

from runferry.errors import ServerError
from runferry.trackers.http_rules import (
    LONGEST_ASKED,
    LONGEST_PAUSE,
    PAUSES,
    REDIRECTS,
    REQUEST_TIMEOUT,
    is_trouble,
    json_mapping,
    opener_for,
    redirect_message,
    seconds_to_wait,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class OverloadedError(ServerError):
    """Raised when a server is too slow for a request, or fails at it, that can be made in smaller parts."""


class ServerAsked(Protocol):
    """A server as a question needs it (see `runferry.trackers.wandb.server.Server`)."""

    @property
    def base_url(self) -> str: ...  # noqa: D102 - see there
    @property
    def key(self) -> str: ...  # noqa: D102 - see there
    @property
    def deadline(self) -> float | None: ...  # noqa: D102 - see there
    @property
    def say(self) -> Callable[[str], None]: ...  # noqa: D102 - see there
    def refusal(self, status: int) -> str: ...  # noqa: D102 - see there


def post(server: ServerAsked, path: str, content: dict[str, Any], *, dividable: bool = False) -> dict[str, Any]:
    """Send JSON to a path of the server and return its answer; no redirect is followed.

    Parameters
    ----------
    server
        The server, its key and its deadline.
    path
        With a slash in front.
    content
        What becomes JSON.
    dividable
        Whether a server that fails or does not answer in time is left to the caller at once.

    Raises
    ------
    OverloadedError
        Only where `dividable`.
    ServerError
        When the server cannot be reached, refuses, redirects or answers something else than JSON.
    """
    request = request_to(server, path, content)
    begun = time.monotonic()
    until = None if server.deadline is None else begun + server.deadline
    pauses = _pauses(until)
    while True:
        try:
            return _once(server, request)
        except _TroubleError as trouble:
            if dividable and trouble.perhaps_too_much:
                raise OverloadedError(str(trouble)) from trouble
            wait = next(pauses) if trouble.asked is None else trouble.asked
            if wait is None:
                raise ServerError(str(trouble)) from trouble
            if time.monotonic() + wait > (until or begun + LONGEST_ASKED):
                beyond = f"{LONGEST_ASKED:.0f} s" if until is None else "sync.deadline"
                told = "" if trouble.asked is None else f"; it asked to wait for {wait:.0f} s, which is beyond {beyond}"
                raise ServerError(f"{trouble}{told}") from trouble
            server.say(f"{trouble}; trying again in {wait:.0f} s")
            time.sleep(wait)


def request_to(server: ServerAsked, path: str, content: dict[str, Any]) -> urllib.request.Request:
    """Return the request that sends JSON to a path of the server, with the key."""
    credentials = base64.b64encode(f"api:{server.key}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {credentials}", "User-Agent": "runferry"}
    text = json.dumps(content, separators=(",", ":"))
    return urllib.request.Request(f"{server.base_url}{path}", text.encode(), headers)


class _TroubleError(ServerError):
    """A failure that may be over soon."""

    def __init__(self, message: str, *, asked: float | None = None, perhaps_too_much: bool = False) -> None:
        super().__init__(message)
        self.asked = asked
        """Seconds that the server asked to wait."""
        self.perhaps_too_much = perhaps_too_much


def _once(server: ServerAsked, request: urllib.request.Request) -> dict[str, Any]:
    try:
        with opener_for(server.base_url).open(request, timeout=REQUEST_TIMEOUT) as answer:
            return _parse(server, answer.read())
    except urllib.error.HTTPError as error:
        problem = _describe(server, error)
        if not is_trouble(error.code):
            raise ServerError(problem) from error
        asked = seconds_to_wait(error.code, error.headers.get)
        raise _TroubleError(problem, asked=asked, perhaps_too_much=error.code >= 500 and asked is None) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        problem = f"{server.base_url}: could not be reached: expected an answer, found {reason}; nothing was sent"
        if isinstance(reason, ConnectionRefusedError | socket.gaierror):
            raise ServerError(problem) from error
        raise _TroubleError(problem, perhaps_too_much=isinstance(reason, TimeoutError)) from error


def _describe(server: ServerAsked, error: urllib.error.HTTPError) -> str:
    if error.code in {401, 403}:
        return server.refusal(error.code)
    if error.code in REDIRECTS:
        return redirect_message(server.base_url, error.code, error.headers.get("Location"))
    return f"{server.base_url}: found HTTP {error.code}, expected 200"


def _parse(server: ServerAsked, text: bytes) -> dict[str, Any]:
    answer = json_mapping(text)
    if answer is None:
        message = f"{server.base_url}: found an answer that is not JSON (a login page, a proxy?)"
        raise ServerError(f"{message}, expected W&B's")
    return answer


def _pauses(until: float | None) -> Iterator[float | None]:
    """Yield how long to wait before each further try, in seconds; None where there is none any more."""
    yield from PAUSES
    while until is not None and time.monotonic() + LONGEST_PAUSE < until:
        yield LONGEST_PAUSE
    yield None

"""Send live sync's requests to a W&B server over connections that stay open: new ones are expensive at 100 runs.

The same requests as wandb's client makes while a run goes on: UpsertBucket once, then the file stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter

from runferry.errors import ServerError
from runferry.trackers.http_rules import (
    REDIRECTS,
    is_trouble,
    json_mapping,
    redirect_message,
    seconds_to_wait,
    session_for,
)

if TYPE_CHECKING:
    from runferry.trackers.wandb.server import Server

REQUEST_TIMEOUT = 20.0
"""Seconds; short, so that a run's end is not overtaken by what was said before it."""

_UPSERT = """
mutation UpsertBucket($input: UpsertBucketInput!) {
  upsertBucket(input: $input) { bucket { id name } inserted }
}
"""


class RequestRefusedError(ServerError):
    """Raised when the server refuses a request for good: a wrong key (`status` 401, 403), a deleted run (404)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BusyError(ServerError):
    """Raised when the server cannot be reached or fails (429, 5xx); `wait` is the seconds that it asked for, if any."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class LiveServer:
    """The sending side of a `Server`; several threads may use it."""

    def __init__(self, server: Server, connections: int) -> None:
        self.server = server
        self._session = session_for(server.base_url)
        self._session.auth = ("api", server.key)
        adapter = HTTPAdapter(pool_maxsize=connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def upsert(self, entity: str, project: str, run: str, **fields: Any) -> None:
        """Create a run, or change its `fields` (of UpsertBucket's input).

        Raises
        ------
        RequestRefusedError, BusyError
        """
        wanted = {"entityName": entity, "modelName": project, "name": run, **fields}
        answer = self._post("/graphql", {"query": _UPSERT, "variables": {"input": wanted}})
        if answer.get("errors") or not answer.get("data"):
            errors: list[dict[str, Any]] = answer.get("errors") or []
            what = "; ".join(str(error.get("message", error)) for error in errors)
            message = f"{self.server.base_url}: expected data, found an error in the answer: {what or 'no data'}"
            raise RequestRefusedError(message, 200)

    def stream(
        self, entity: str, project: str, run: str, files: dict[str, Any], *, exit_code: int | None = None
    ) -> None:
        """Send lines of a run's files; without any, report that it still runs, or its exit code when it has ended.

        Raises
        ------
        RequestRefusedError, BusyError
        """
        path = "/".join(quote(part, safe="") for part in (entity, project, run))
        content: dict[str, Any] = {"files": files} if files else {}
        if exit_code is not None:
            content |= {"complete": True, "exitcode": exit_code}
        self._post(f"/files/{path}/file_stream", content)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        url = self.server.base_url
        try:
            answer = self._session.post(f"{url}{path}", json=content, timeout=REQUEST_TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            raise BusyError(f"{url}: could not be reached: expected an answer, found {type(error).__name__}") from error
        status = answer.status_code
        if is_trouble(status):
            raise BusyError(f"{url}: found HTTP {status}, expected 200", seconds_to_wait(status, answer.headers.get))
        if status in {401, 403}:
            raise RequestRefusedError(self.server.refusal(status), status)
        if status in REDIRECTS:
            raise BusyError(redirect_message(url, status, answer.headers.get("Location")))
        if status >= 400:
            raise RequestRefusedError(f"{url}: found HTTP {status}, expected 200", status)
        parsed = json_mapping(answer.content)
        if status != 200 or parsed is None:
            # A captive portal or a proxy between: nothing has arrived.
            raise BusyError(f"{url}: found an answer that is not W&B's (a login page, a proxy?), expected one that is")
        return parsed

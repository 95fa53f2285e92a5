"""Ask a W&B server for runs, over its GraphQL API.

It does not import wandb, whose import alone costs 0.4 s of CPU. The fields asked for are those that the public API of
wandb 0.31 (`wandb.Api().runs`) asks for, many runs in one request.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from runferry.errors import ServerError
from runferry.system.values import batches, is_mapping
from runferry.trackers.wandb.address import app_url, is_loopback
from runferry.trackers.wandb.queries import (
    ARTIFACTS,
    FILES,
    FILES_PER_RUN,
    ROWS,
    FileOnServer,
    RunOnServer,
    parse_artifacts,
    parse_files,
    parse_rows,
    parse_runs,
    runs_query,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runferry.trackers.wandb.log.records import LoggedArtifact


_Parsed = TypeVar("_Parsed")

REQUEST_TIMEOUT = 30.0
"""Seconds that one request may take."""


RUNS_PER_LOOK = 250
"""Without their files."""


RUNS_PER_REQUEST = 100
"""With their files. W&B's own page has 50; that a larger one is answered is what users of its API rely on (assumed for
files in it)."""


LONGEST_PAUSE = 8.0


PAUSES = (1.0, 2.0, 4.0)
"""Seconds before a request is made again when the server answers 429 or 5xx or the connection breaks."""


@dataclass(frozen=True)
class Server:
    """A W&B server and the key for it."""

    base_url: str
    key: str
    key_source: str
    """Where the key was found, for messages; the key itself is in none."""
    deadline: float | None = None
    """Seconds for which a server in trouble is asked the same again; None is for the `PAUSES`."""
    say: Callable[[str], None] = field(default=lambda _line: None, compare=False)
    """Takes a line for a user who waits."""

    @property
    def app_url(self) -> str:
        """Return the address where a browser shows the runs."""
        return app_url(self.base_url)

    def run_url(self, entity: str, project: str, run: str) -> str:
        """Return the address of a run's page."""
        return f"{self.app_url}/{quote(entity)}/{quote(project)}/runs/{quote(run)}"

    def default_entity(self) -> str:
        """Ask for the entity of runs that name none.

        Raises
        ------
        ServerError
            When the server cannot be asked or does not know the key.
        """
        return self._default_entity(self.ask("query RunferryViewer { viewer { entity } }", {}))

    def _default_entity(self, data: dict[str, Any]) -> str:
        viewer = data.get("viewer")
        if not viewer or not viewer.get("entity"):
            message = f"{self.base_url}: found no default entity for the key from {self.key_source}"
            raise ServerError(f"{message}; expected wandb.entity in the config")
        return str(viewer["entity"])

    def runs(
        self, entity: str, project: str, names: Sequence[str], *, with_files: bool = False
    ) -> dict[str, RunOnServer]:
        """Ask for runs by their ids, `RUNS_PER_REQUEST` at once; the answer leaves out runs that do not exist.

        With `with_files` the runs' files and artifacts are in the answer too.

        Raises
        ------
        ServerError
            When the server cannot be asked or its answer is not what was asked for.
        """
        found: dict[str, RunOnServer] = {}
        for page in batches(names, RUNS_PER_REQUEST):
            data = self.ask(runs_query(with_files=with_files), _variables(entity, project, page))
            found.update(self._parsed(parse_runs, data))
        return found

    def look(self, entity: str, project: str, names: Sequence[str]) -> tuple[str, dict[str, RunOnServer]]:
        """Ask for runs without their files, and for the key's default entity where `entity` is "".

        Raises
        ------
        ServerError
            As `runs` does, and when there is no default entity.
        """
        found: dict[str, RunOnServer] = {}
        for page in batches(names, RUNS_PER_LOOK):
            data = self.ask(runs_query(with_viewer=not entity), _variables(entity, project, page))
            entity = entity or self._default_entity(data)
            found.update(self._parsed(parse_runs, data))
        return entity, found

    def files(self, entity: str, project: str, run: str) -> dict[str, FileOnServer]:
        """Ask for every file of one run: the answer of `runs` holds `FILES_PER_RUN` at most.

        Raises
        ------
        ServerError
            As `runs` does.
        """
        found: dict[str, FileOnServer] = {}
        after: str | None = None
        while True:
            variables = {"entity": entity, "project": project, "run": run, "after": after, "first": FILES_PER_RUN}
            files, after = self._parsed(parse_files, self.ask(FILES, variables))
            found |= files
            if not files or after is None:
                return found

    def artifact_digests(self, entity: str, project: str, artifact: LoggedArtifact) -> set[str]:
        """Ask for the digests of an artifact's complete versions, whichever run logged them.

        A version with a content that is there already is not made again, and then belongs to the run that was first.

        Raises
        ------
        ServerError
            As `runs` does.
        """
        variables = {"entity": entity, "project": project, "type": artifact.type, "collection": artifact.name}
        return self._parsed(parse_artifacts, self.ask(ARTIFACTS, variables))

    def rows(self, entity: str, project: str, run: str, steps: tuple[int, int], count: int) -> list[dict[str, Any]]:
        """Ask for the rows of a run's history from the first to the last of two steps, not sampled up to `count` rows.

        Raises
        ------
        ServerError
            As `runs` does.
        """
        variables = {"entity": entity, "project": project, "run": run, "first": steps[0], "end": steps[1] + 1}
        return self._parsed(parse_rows, self.ask(ROWS, {**variables, "count": count}))

    def stream(self, entity: str, project: str, run: str, content: dict[str, Any]) -> None:
        """Send a file stream request, as wandb's client does while a run goes on.

        Raises
        ------
        ServerError
            When the server cannot be reached or refuses it.
        """
        path = "/".join(quote(part, safe="") for part in (entity, project, run))
        self._request(f"/files/{path}/file_stream", content)

    def _parsed(self, parse: Callable[[dict[str, Any]], _Parsed], data: dict[str, Any]) -> _Parsed:
        try:
            return parse(data)
        except (KeyError, TypeError, ValueError) as error:
            message = f"{self.base_url}: found an answer without {error}, expected W&B's description of runs"
            raise ServerError(message) from error

    def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Send a GraphQL query and return its data.

        Raises
        ------
        ServerError
            When the server cannot be asked, refuses, or answers something else.
        """
        answer = self._request("/graphql", {"query": query, "variables": variables})
        data: dict[str, Any] | None = answer.get("data")
        errors = answer.get("errors")
        if errors or data is None:
            what = "; ".join(str(item.get("message", item)) for item in errors or [{"message": "no data"}])
            raise ServerError(f"{self.base_url}: expected data, found an error in the answer: {what}")
        return data

    def _request(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        credentials = base64.b64encode(f"api:{self.key}".encode()).decode()
        request = urllib.request.Request(
            f"{self.base_url}{path}",
            json.dumps(content).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Basic {credentials}",
                "User-Agent": "runferry",
            },
        )
        until = None if self.deadline is None else time.monotonic() + self.deadline
        for pause in _pauses(until):
            try:
                with _opener(self.base_url).open(request, timeout=REQUEST_TIMEOUT) as answer:
                    return self._parse(answer.read())
            except urllib.error.HTTPError as error:
                problem, asked_pause = self._describe(error), error.headers.get("Retry-After", "")
                if pause is None or (error.code != 429 and error.code < 500):
                    raise ServerError(problem) from error
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                problem, asked_pause = f"{self.base_url}: could not be reached: expected an answer, found {reason}", ""
                if pause is None or isinstance(reason, ConnectionRefusedError | socket.gaierror):
                    raise ServerError(f"{problem}; nothing was sent") from error
            wait = float(asked_pause) if asked_pause.isdigit() else pause
            if until is not None and time.monotonic() + wait > until:
                raise ServerError(f"{problem}; it asked to wait for {wait:.0f} s, which is beyond sync.deadline")
            self.say(f"{problem}; trying again in {wait:.0f} s")
            time.sleep(wait)
        raise AssertionError  # the last turn of the loop returns or raises

    def refusal(self, status: int) -> str:
        """Return the message that the server refused the key, with HTTP status 401 or 403, and the key's source."""
        valid = "one that may write there" if status == HTTPStatus.FORBIDDEN else "a valid one"
        refused = f"{self.base_url}: refused the key found in {self.key_source} (HTTP {status})"
        return f"{refused}, expected {valid}; type: wandb login"

    def _describe(self, error: urllib.error.HTTPError) -> str:
        if error.code in {401, 403}:
            return self.refusal(error.code)
        return f"{self.base_url}: found HTTP {error.code}, expected 200"

    def _parse(self, text: bytes) -> dict[str, Any]:
        try:
            answer: Any = json.loads(text)
        except ValueError:
            answer = None
        if not is_mapping(answer):
            message = f"{self.base_url}: found an answer that is not JSON (a login page, a proxy?)"
            raise ServerError(f"{message}, expected W&B's")
        return answer


def _variables(entity: str, project: str, names: Sequence[str]) -> dict[str, Any]:
    # No entity is the default one, as wandb's own client asks for a run that it resumes.
    filters = json.dumps({"name": {"$in": names}})
    return {"entity": entity or None, "project": project, "filters": filters, "first": len(names)}


def _pauses(until: float | None) -> Iterator[float | None]:
    """Yield how long to wait before each further try, in seconds; None where there is none any more."""
    yield from PAUSES
    while until is not None and time.monotonic() + LONGEST_PAUSE < until:
        yield LONGEST_PAUSE
    yield None


def _opener(url: str) -> urllib.request.OpenerDirector:
    # A proxy that a site sets for the world is not for this machine; wandb-core makes the same exception.
    return urllib.request.build_opener(urllib.request.ProxyHandler({} if is_loopback(url) else None))

"""Ask a W&B server for the doctor's runs, again and again until the answer is as expected."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runferry.doctor.server.assumptions import SLOW_SECONDS
from runferry.errors import ServerError
from runferry.trackers.http_rules import REQUEST_TIMEOUT, opener_for
from runferry.trackers.wandb.connection import request_to

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from email.message import Message

    from runferry.trackers.wandb.queries import RunOnServer
    from runferry.trackers.wandb.server import Server

_T = TypeVar("_T")

FARTHEST_STEP = 2**53
"""Beyond every step, as sync asks for what lies behind the last row."""
HISTORY, EVENTS, OUTPUT, SUMMARY = "wandb-history.jsonl", "wandb-events.jsonl", "output.log", "wandb-summary.json"

_UPSERT = """
mutation RunferryDoctorUpsert($input: UpsertBucketInput!) { upsertBucket(input: $input) { bucket { id } inserted } }
"""
_IDS = """
query RunferryDoctorIds($entity: String, $project: String!, $filters: JSONString!, $first: Int!) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, first: $first) { edges { node { id name } } }
  }
}
"""
# As wandb's own Run.delete.
_DELETE = """
mutation DeleteRun($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }
"""


@dataclass(frozen=True)
class Patience:
    """How long the doctor waits, in seconds."""

    showing: float = 30.0
    """For what was sent to show."""
    steady: float = 5.0
    """For an answer that should not change any more."""
    whole: float = 180.0
    """For everything; afterwards nothing is waited for longer than `SHORTEST`."""
    pause: float = 0.5
    """Between two questions."""
    slow: float = SLOW_SECONDS
    """For one question."""


SHORTEST = 2.0


@dataclass(frozen=True)
class Waited(Generic[_T]):
    """The last answer, and after how many seconds it was right; None where it was not."""

    answer: _T
    after: float | None


@dataclass(frozen=True)
class RawAnswer:
    """An answer of the server as it came."""

    status: int
    headers: Message


@dataclass
class Place:
    """The doctor's place on a server: its project, and when it began."""

    server: Server
    entity: str
    project: str
    first_answer: RawAnswer
    """To the question whose key it is, as it came."""
    patience: Patience = field(default_factory=Patience)
    begun: float = field(default_factory=time.monotonic)

    def left(self, seconds: float) -> float:
        """Return how many of so many seconds may still be waited."""
        return min(seconds, max(SHORTEST, self.begun + self.patience.whole - time.monotonic()))

    def run(self, name: str) -> RunOnServer | None:
        """Ask for a run as sync does."""
        return self.server.runs(self.entity, self.project, [name], with_files=True).get(name)

    def rows(self, name: str, first: int, last: int, count: int | None = None) -> list[dict[str, Any]]:
        """Ask for the rows from one step to another, not sampled up to `count`."""
        return self.server.rows(self.entity, self.project, name, (first, last), count or last - first + 1)

    def stream(self, name: str, lines: Mapping[str, tuple[int, list[str]]], **more: Any) -> None:
        """Send lines, by file with their offset."""
        files = {file: {"offset": offset, "content": content} for file, (offset, content) in lines.items()}
        self.server.stream(self.entity, self.project, name, {"files": files, **more} if files else dict(more))

    def upsert(self, name: str, **fields: Any) -> None:
        """Make a run, or change it."""
        wanted = {"entityName": self.entity, "modelName": self.project, "name": name, **fields}
        self.server.ask(_UPSERT, {"input": wanted})

    def ids(self, names: list[str], first: int | None = None) -> dict[str, str]:
        """Ask which runs are there; return their names with the server's own ids."""
        filters = json.dumps({"name": {"$in": names}})
        variables = {"entity": self.entity, "project": self.project, "filters": filters, "first": first or len(names)}
        project = self.server.ask(_IDS, variables)["project"]
        edges: list[dict[str, Any]] = project["runs"]["edges"] if project else []
        return {str(edge["node"]["name"]): str(edge["node"]["id"]) for edge in edges}

    def delete(self, run_id: str) -> None:
        """Delete a run by the server's own id."""
        self.server.ask(_DELETE, {"id": run_id})

    def until(self, ask: Callable[[], _T], right: Callable[[_T], bool], seconds: float | None = None) -> Waited[_T]:
        """Ask until the answer is right, and no longer than so many seconds (`Patience.showing` by default)."""
        begun, most = time.monotonic(), self.left(self.patience.showing if seconds is None else seconds)
        while True:
            answer = ask()
            after = time.monotonic() - begun
            if right(answer):
                return Waited(answer, after)
            if after >= most:
                return Waited(answer, None)
            time.sleep(self.patience.pause)

    def times(self, name: str, wanted: Mapping[str, Callable[[RunOnServer], bool]]) -> dict[str, float | None]:
        """Return after how many seconds each part of a run is as wanted; None where it is not in time."""
        begun = time.monotonic()
        shown: dict[str, float | None] = dict.fromkeys(wanted)

        def look(run: RunOnServer | None) -> bool:
            for part, right in wanted.items():
                if run is None or not right(run):
                    # It may have been right before, and be so no more.
                    shown[part] = None
                elif shown[part] is None:
                    shown[part] = round(time.monotonic() - begun, 2)
            return None not in shown.values()

        self.until(lambda: self.run(name), look)
        return shown


def ask_raw(server: Server, path: str, content: dict[str, Any]) -> RawAnswer:
    """Send one request and return its status and headers, whatever they are; no redirect is followed.

    Raises
    ------
    ServerError
        When no answer came.
    """
    try:
        with opener_for(server.base_url).open(request_to(server, path, content), timeout=REQUEST_TIMEOUT) as answer:
            return RawAnswer(answer.status, answer.headers)
    except urllib.error.HTTPError as error:
        return RawAnswer(error.code, error.headers)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ServerError(f"{server.base_url}: found no answer ({reason}), expected one") from error

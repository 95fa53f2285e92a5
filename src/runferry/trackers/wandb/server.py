"""Ask a W&B server for runs, over its GraphQL API.

It does not import wandb, whose import alone costs 0.4 s of CPU. The fields asked for are those that the public API of
wandb 0.31 (`wandb.Api().runs`) asks for, many runs in one request.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from runferry.errors import ServerError
from runferry.trackers.http_rules import PAUSES
from runferry.trackers.wandb.address import app_url
from runferry.trackers.wandb.connection import OverloadedError, post
from runferry.trackers.wandb.queries import (
    ARTIFACTS,
    FILES,
    FILES_PER_RUN,
    ROWS,
    FileOnServer,
    RunOnServer,
    VersionOnServer,
    names_query,
    parse_artifacts,
    parse_files,
    parse_names,
    parse_rows,
    parse_runs,
    runs_query,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runferry.trackers.wandb.log.records import LoggedArtifact


_Parsed = TypeVar("_Parsed")

RUNS_PER_LOOK = 250
"""Names and nothing more: which of them are there."""


RUNS_PER_REQUEST = 100
"""With config and summary, and perhaps their files. W&B's own page has 50; that a larger one is answered is what users
of its API rely on (assumed for files in it)."""


FEWEST_RUNS = 10
"""Where a server fails at so few, it is not because they are many."""


SLOW_SECONDS = 5.0
"""After an answer that took longer, fewer runs are asked for at once."""


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
        query = runs_query(with_files=with_files)
        for data in self._pages(query, names, RUNS_PER_REQUEST, partial(_variables, entity, project)):
            found.update(self._parsed(parse_runs, data))
        return found

    def look(self, entity: str, project: str, names: Sequence[str]) -> tuple[str, dict[str, RunOnServer]]:
        """Ask for runs without their files, and for the key's default entity where `entity` is "".

        Config, summary and history keys make an answer heavy (W&B's own client leaves them out of lists: 180 runs took
        9 s), so they are asked for only of runs that are there.

        Raises
        ------
        ServerError
            As `runs` does, and when there is no default entity.
        """
        there: list[str] = []
        query = names_query(with_viewer=not entity)
        for data in self._pages(query, names, RUNS_PER_LOOK, partial(_variables, entity, project)):
            entity = entity or self._default_entity(data)
            there += self._parsed(parse_names, data)
        return entity, self.runs(entity, project, there)

    def _pages(
        self, query: str, names: Sequence[str], most: int, variables: Callable[[Sequence[str]], dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """Ask for runs by their names, `most` at once, and fewer where the server is slow or fails at so many."""
        # It does not grow again: a question that comes to nothing costs half a minute.
        size, left = most, list(names)
        while left:
            page = left[:size]
            begun = time.monotonic()
            try:
                data = self.ask(query, variables(page), dividable=len(page) > FEWEST_RUNS)
            except OverloadedError as error:
                size = max(len(page) // 2, FEWEST_RUNS)
                self.say(f"{error}; asking for {size} runs at once")
                time.sleep(PAUSES[0])
                continue
            if time.monotonic() - begun > SLOW_SECONDS:
                size = max(len(page) // 2, FEWEST_RUNS)
            left = left[len(page) :]
            yield data

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

    def artifact_versions(self, entity: str, project: str, artifact: LoggedArtifact) -> list[VersionOnServer]:
        """Ask for an artifact's complete versions, whichever run logged them.

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
        post(self, f"/files/{path}/file_stream", content)

    def _parsed(self, parse: Callable[[dict[str, Any]], _Parsed], data: dict[str, Any]) -> _Parsed:
        try:
            return parse(data)
        except (KeyError, TypeError, ValueError) as error:
            message = f"{self.base_url}: found an answer without {error}, expected W&B's description of runs"
            raise ServerError(message) from error

    def ask(self, query: str, variables: dict[str, Any], *, dividable: bool = False) -> dict[str, Any]:
        """Send a GraphQL query and return its data.

        Parameters
        ----------
        query, variables
            As GraphQL has them.
        dividable
            Whether the same can be asked in smaller parts: then a server that is too slow for it, or fails, is not
            asked the same again, and `OverloadedError` is raised.

        Raises
        ------
        ServerError
            When the server cannot be asked, refuses, or answers something else.
        """
        answer = post(self, "/graphql", {"query": query, "variables": variables}, dividable=dividable)
        data: dict[str, Any] | None = answer.get("data")
        errors = answer.get("errors")
        if errors or data is None:
            what = "; ".join(str(item.get("message", item)) for item in errors or [{"message": "no data"}])
            raise ServerError(f"{self.base_url}: expected data, found an error in the answer: {what}")
        return data

    def refusal(self, status: int) -> str:
        """Return the message that the server refused the key, with HTTP status 401 or 403, and the key's source."""
        valid = "one that may write there" if status == HTTPStatus.FORBIDDEN else "a valid one"
        refused = f"{self.base_url}: refused the key found in {self.key_source} (HTTP {status})"
        return f"{refused}, expected {valid}; run: wandb login"


def _variables(entity: str, project: str, names: Sequence[str]) -> dict[str, Any]:
    # No entity is the default one, as wandb's own client asks for a run that it resumes.
    filters = json.dumps({"name": {"$in": names}})
    return {"entity": entity or None, "project": project, "filters": filters, "first": len(names)}

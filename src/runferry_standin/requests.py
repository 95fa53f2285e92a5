"""Which requests came, for tests and benchmarks; kept in memory only."""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from typing import Any
from urllib.parse import parse_qs

LONGEST_LOG = 10_000
"""Requests that are kept one by one; the counts go on beyond."""

# Where GraphQL variables name a run, across the clients' operations; so does "name", except of an artifact.
_RUN_VARIABLES = ("run", "runName", "runId")


class RequestLog:
    """Counts requests by kind, in all and by run, and remembers the last ones."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin again at zero."""
        self.counts: Counter[str] = Counter()
        self.by_run: dict[str, Counter[str]] = {}
        self.last: deque[dict[str, Any]] = deque(maxlen=LONGEST_LOG)

    def add(self, kind: str, run: str | None, entry: dict[str, Any]) -> None:
        """Count a request that was answered or dropped.

        Parameters
        ----------
        kind
            As in `runferry_standin.faults`.
        run
            The id of the run that it names, or None.
        entry
            What else is remembered of it: method, path, status (None when it was dropped), seconds.
        """
        self.counts[kind] += 1
        if run is not None:
            self.by_run.setdefault(run, Counter())[kind] += 1
        self.last.append({"kind": kind, "run": run, **entry})

    def shown(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {"total": self.counts.total(), "counts": dict(self.counts), "requests": list(self.last)}


def kind_and_run(method: str, path: str, query: str, body: bytes) -> tuple[str, str | None]:
    """Say what kind of request it is and which run it names, from its path, its query and, for GraphQL, its body."""
    parts = path.strip("/").split("/")
    match parts:
        case ["graphql"]:
            return _graphql_kind_and_run(body)
        case ["files", _, _, run, "file_stream"] if method == "POST":
            return "file_stream", run
        case ["files", _, _, run, *_]:
            return "files", run
        case ["storage", *_] | ["artifacts" | "artifactsV2", *_]:
            return "storage", next(iter(parse_qs(query).get("run", [])), None)
        case ["sdk", "otel", *_]:
            # What newer clients report about themselves; 404 is an answer they live with (measured).
            return "telemetry", None
        case _:
            return "page", None


def _graphql_kind_and_run(body: bytes) -> tuple[str, str | None]:
    try:
        request: Any = json.loads(body)
        named = re.search(r"\b(?:query|mutation)\s+(\w+)", request["query"])
        operation = request.get("operationName") or (named[1] if named else "anonymous")
        variables: dict[str, Any] = request.get("variables") or {}
        # What the newer clients wrap into one variable.
        variables |= variables.get("input") or {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "graphql:malformed", None
    names = _RUN_VARIABLES if "Artifact" in operation else (*_RUN_VARIABLES, "name")
    run: Any = next((variables[name] for name in names if isinstance(variables.get(name), str)), None)
    names_run = any(name in variables for name in ("project", "projectName", "modelName"))
    return f"graphql:{operation}", run if names_run else None

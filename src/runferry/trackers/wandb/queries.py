"""Write the queries for runs on a W&B server, and parse its answers.

The fields are those that the public API of wandb 0.31 asks for (`wandb.Api().runs`, `Run.files`,
`Run.logged_artifacts`, `Run.scan_history`), many runs in one request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from runferry.system.values import is_mapping

FILES_PER_RUN = 50
"""Of a run's files in one answer: W&B's own page size."""
_VERSION = "state digest aliases { alias } tags { name }"


@dataclass(frozen=True)
class FileOnServer:
    """A file of a run."""

    size_bytes: int
    md5: str = ""
    """Empty where the server names none."""


@dataclass(frozen=True)
class VersionOnServer:
    """A complete version of an artifact."""

    digest: str
    aliases: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunOnServer:
    """A run as the server holds it."""

    state: str
    """`running`, `finished`, `failed`, `crashed`, ..."""
    history_lines: int
    last_step: int | None
    """None where the server names none, as for a run without history."""
    summary: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    """Without `_wandb`, where wandb keeps its own."""
    wandb_config: dict[str, Any] = field(default_factory=dict[str, Any])
    """That section: wandb takes a run whose config has lost it for one that was never begun."""
    event_lines: int = 0
    output_lines: int = 0
    files: dict[str, FileOnServer] | None = None
    """None where they were not asked for."""
    all_files: bool = True
    """Whether `files` are all there are."""
    artifacts: dict[tuple[str, str], VersionOnServer] = field(default_factory=dict[tuple[str, str], VersionOnServer])
    """Each version that this run has logged and that is complete, by the artifact's name and the version's digest."""


def names_query(*, with_viewer: bool = False) -> str:
    """Return the query for the names of runs that `$filters` select; for the key's default entity too."""
    return _query("name", with_viewer=with_viewer)


def runs_query(*, with_files: bool = False) -> str:
    """Return the query for runs, the first `$first` that `$filters` select."""
    fields = "name state config historyLineCount eventsLineCount logLineCount historyKeys summaryMetrics"
    if with_files:
        fields += f"""
        files(first: {FILES_PER_RUN}) {{ edges {{ node {{ name sizeBytes md5 }} }} pageInfo {{ hasNextPage }} }}
        outputArtifacts(first: {FILES_PER_RUN}) {{
          edges {{ node {{ {_VERSION} artifactSequence {{ name }} }} }}
        }}"""
    return _query(fields)


def _query(fields: str, *, with_viewer: bool = False) -> str:
    return f"""
query RunferryRuns($entity: String, $project: String!, $filters: JSONString!, $first: Int!) {{
  {"viewer { entity }" if with_viewer else ""}
  project(name: $project, entityName: $entity) {{
    runs(filters: $filters, first: $first) {{ edges {{ node {{ {fields} }} }} }}
  }}
}}
"""


FILES = """
query RunferryFiles($entity: String!, $project: String!, $run: String!, $after: String, $first: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) {
      files(after: $after, first: $first) {
        edges { node { name sizeBytes md5 } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""

ARTIFACTS = f"""
query RunferryArtifacts($entity: String!, $project: String!, $type: String!, $collection: String!) {{
  project(name: $project, entityName: $entity) {{
    artifactType(name: $type) {{
      artifactCollection(name: $collection) {{ artifacts(first: 100) {{ edges {{ node {{ {_VERSION} }} }} }} }}
    }}
  }}
}}
"""

# The same field, with the same meaning of its arguments, as wandb's own HistoryPage: the end is not in it.
ROWS = """
query RunferryRows($entity: String!, $project: String!, $run: String!, $first: Int64!, $end: Int64!, $count: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { history(minStep: $first, maxStep: $end, samples: $count) }
  }
}
"""


def parse_runs(data: dict[str, Any]) -> dict[str, RunOnServer]:
    """Return the runs of an answer to `runs_query`, by id.

    Raises
    ------
    KeyError, TypeError, ValueError
        For an answer to another query, as every function here that parses one.
    """
    if data["project"] is None:
        # No run was ever sent to this project.
        return {}
    return {str(node["name"]): _run(node) for node in _nodes(data["project"]["runs"])}


def parse_names(data: dict[str, Any]) -> list[str]:
    """Return the names in an answer to `names_query`."""
    return [] if data["project"] is None else [str(node["name"]) for node in _nodes(data["project"]["runs"])]


def parse_files(data: dict[str, Any]) -> tuple[dict[str, FileOnServer], str | None]:
    """Return the files of an answer to `FILES`, and the cursor of the next ones; None at their end."""
    files = data["project"]["run"]["files"]
    page = files["pageInfo"]
    return _files(files), page["endCursor"] if page["hasNextPage"] else None


def parse_artifacts(data: dict[str, Any]) -> list[VersionOnServer]:
    """Return the complete versions in an answer to `ARTIFACTS`; none where there is no such artifact."""
    found: Any = data
    for name in ("project", "artifactType", "artifactCollection"):
        found = found[name]
        if found is None:
            return []
    return [_version(node) for node in _nodes(found["artifacts"]) if node["state"] == "COMMITTED"]


def parse_rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an answer to `ROWS`."""
    return [json.loads(row) if isinstance(row, str) else row for row in data["project"]["run"]["history"]]


def _run(node: dict[str, Any]) -> RunOnServer:
    last = _json_field(node["historyKeys"]).get("lastStep")
    config = _config(_json_field(node["config"]))
    run = RunOnServer(
        state=str(node["state"]),
        history_lines=int(node["historyLineCount"] or 0),
        # The public API gives -1 for none.
        last_step=None if last is None or int(last) < 0 else int(last),
        summary=_json_field(node["summaryMetrics"]),
        wandb_config=config.pop("_wandb", {}),
        config=config,
        event_lines=int(node["eventsLineCount"] or 0),
        output_lines=int(node["logLineCount"] or 0),
    )
    if "files" not in node:
        return run
    logged = [each for each in _nodes(node["outputArtifacts"]) if each["state"] == "COMMITTED"]
    return replace(
        run,
        files=_files(node["files"]),
        all_files=not node["files"]["pageInfo"]["hasNextPage"],
        artifacts={(str(each["artifactSequence"]["name"]), str(each["digest"])): _version(each) for each in logged},
    )


def _version(node: dict[str, Any]) -> VersionOnServer:
    aliases = frozenset(str(alias["alias"]) for alias in node["aliases"] or ())
    return VersionOnServer(str(node["digest"]), aliases, frozenset(str(tag["name"]) for tag in node["tags"] or ()))


def _files(connection: dict[str, Any]) -> dict[str, FileOnServer]:
    return {
        str(node["name"]): FileOnServer(int(node["sizeBytes"] or 0), str(node.get("md5") or ""))
        for node in _nodes(connection)
    }


def _nodes(connection: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in connection["edges"]]


def _config(config: dict[str, Any]) -> dict[str, Any]:
    # {"lr": {"value": 0.1, "desc": null}}, as wandb's client sends it.
    return {key: item["value"] for key, item in config.items() if is_mapping(item) and "value" in item}


def _json_field(value: Any) -> dict[str, Any]:
    # Some fields are JSON in a string, some are JSON as they are; servers differ.
    if isinstance(value, str):
        value = json.loads(value)
    return value or {}

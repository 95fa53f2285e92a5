"""What a stand-in holds of a script's W&B runs, without what no two executions of it have alike."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runferry_standin import StandIn

_PROJECTS = "query Projects($entity: String) { models(entityName: $entity, first: 100) { edges { node { name } } } }"
_MORE = """
query More($entity: String, $project: String!, $run: String!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) {
      wandbConfig
      outputArtifacts(first: 100) {
        edges { node { versionIndex digest description metadata artifactSequence { name } } }
      }
    }
  }
}
"""
# Written at another time each time, by the client or the server.
_TIMES = ("_timestamp", "_runtime", "_wandb")
# Of wandb's own about the machine, the environment and the moment; there on both sides, with a content of its own.
_OWN_FILES = ("config.yaml", "requirements.txt", "wandb-summary.json")
# What was printed is compared line by line; wandb's own warnings are in the file. What wandb-core gathers of the
# machine it writes when it has it, and a run of some milliseconds may have ended before (seen once in some hundred).
_NOT_COMPARED = ("output.log", "wandb-metadata.json")
_OF_ARTIFACTS = ("digest", "description", "metadata")
_CLIENT_ARTIFACT = re.compile(r"wandb-(client-)?artifact://[^/\"]+")
_TIME_IN_NAME = re.compile(r"-\d{13}\.")
_CONSOLE_TIME = re.compile(r"^(ERROR )?\d{4}-\d\d-\d\dT\S+ ")


def held(server: StandIn, entity: str) -> list[dict[str, Any]]:
    """Return all runs of an entity, of all its projects, the oldest first in each."""
    answer = server.graphql(_PROJECTS, {"entity": entity})
    projects = [edge["node"]["name"] for edge in answer["data"]["models"]["edges"]]
    return [_run(server, entity, project, run) for project in projects for run in server.runs(entity, project)]


def _run(server: StandIn, entity: str, project: str, name: str) -> dict[str, Any]:
    run = server.run(entity, project, name)
    answer = server.graphql(_MORE, {"entity": entity, "project": project, "run": name})
    more = answer["data"]["project"]["run"]
    logged = [edge["node"] for edge in more["outputArtifacts"]["edges"]]
    wandb_config = json.loads(more["wandbConfig"])
    artifacts = {each["name"]: _artifact(each, logged) for each in run["artifacts"]}
    return {
        "id": name,
        "entity": entity,
        "project": project,
        "name": run["display_name"],
        "group": run["group"],
        "job type": run["job_type"],
        "tags": sorted(run["tags"]),
        "notes": run["notes"],
        "sweep": run["sweep"],
        "state": run["state"],
        "exit code": run["exit_code"],
        "config": run["config"],
        "console": [line for line in map(_printed, run["output"]) if _is_the_scripts(line)],
        "files": {file["name"]: _content(file) for file in run["files"] if file["name"] not in _NOT_COMPARED},
        "used artifacts": sorted(each["name"] for each in run["used_artifacts"]),
        "alerts": run["alerts"],
        "rows": [_alike(_without_times(row), name) for row in run["history"]],
        "summary": _alike(_without_times(run["summary"]), name),
        # What define_metric and wandb.plot have left in the config.
        "metrics": _metrics(wandb_config.get("m") or []),
        "charts": _alike(wandb_config.get("visualize"), name),
        "artifacts": _alike(artifacts, name),
    }


def _metrics(defined: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort what define_metric has left by its names; a step metric is named there by its place, counted from 1."""
    named = [each | ({"5": defined[each["5"] - 1]["1"]} if "5" in each else {}) for each in defined]
    return sorted(named, key=lambda each: each.get("1") or each.get("2") or "")


def _without_times(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in _TIMES}


def _alike(value: Any, run: str) -> Any:
    """Take out what is made up anew each time: ids of runs and of artifacts' versions, times in names of files."""
    text = json.dumps(value).replace(run, "<run>")
    return json.loads(_TIME_IN_NAME.sub("-<time>.", _CLIENT_ARTIFACT.sub("wandb-artifact://<version>", text)))


def _printed(line: str) -> str:
    return _CONSOLE_TIME.sub("", line).rstrip("\n")


def _is_the_scripts(line: str) -> bool:
    # What wandb prints of itself differs between online and offline, as it should.
    return "wandb:" not in line


def _content(file: dict[str, Any]) -> str | None:
    return None if file["name"] in _OWN_FILES else f"{file['size_bytes']} bytes, {file['md5']}"


def _artifact(artifact: dict[str, Any], logged: list[dict[str, Any]]) -> dict[str, Any]:
    # The inspection knows what is in it, the question for the run's output the rest; only what is complete is there.
    more = next((each for each in logged if artifact["name"] == _version(each)), {})
    kept = {key: artifact[key] for key in ("type", "state", "files")}
    kept |= {"aliases": sorted(artifact["aliases"])} | {key: more.get(key) for key in _OF_ARTIFACTS}
    if _TIME_IN_NAME.search(json.dumps(artifact["files"])):
        # It is over the names, too.
        del kept["digest"]
    return kept


def _version(artifact: dict[str, Any]) -> str:
    return f"{artifact['artifactSequence']['name']}:v{artifact['versionIndex']}"

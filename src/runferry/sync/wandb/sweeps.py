"""Create an experiment's sweep on the server, once, and add the synced runs to it.

In W&B's own way for runs that were there before their sweep: `wandb sweep --prior_run` (wandb 0.31) names them in the
`UpsertSweep` that makes or updates the sweep. That an update takes them as the making does is assumed of the real
server.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import yaml

from runferry.config.names import SWEEP_FILE
from runferry.errors import RunferryError
from runferry.runs.receipt_record import Receipt
from runferry.system.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runferry.trackers.wandb.server import Server

FILE = "sweep-on-server.json"
"""In the experiment's folder: the sweep's id and name, where it is, and which runs were counted to it."""

_UPSERT = """
mutation UpsertSweep($id: ID, $config: String, $description: String, $entityName: String, $projectName: String,
    $priorRunsFilters: JSONString, $displayName: String) {
  upsertSweep(input: {id: $id, config: $config, description: $description, entityName: $entityName,
      projectName: $projectName, priorRunsFilters: $priorRunsFilters, displayName: $displayName}) {
    sweep { id name }
  }
}
"""


def attach_runs(
    experiments: Iterable[Path], find: Callable[[str], Server], say: Callable[[str], None] = lambda _line: None
) -> None:
    """Create the sweeps of experiments on their server and add their synced runs; only new ones are sent.

    A refusal of the server is reported by `say` and keeps no run from its receipt.

    Parameters
    ----------
    experiments
        Folders, `results/<experiment>`; one without a sweep is left alone.
    find
        Returns the server at an address.
    say
        Takes a line for the user.
    """
    for experiment in experiments:
        try:
            definition = read_json(experiment / SWEEP_FILE)
        except (OSError, ValueError):
            continue
        for (base_url, entity, project), runs in _synced(experiment).items():
            try:
                _attach(experiment, definition, find(base_url), (entity, project), sorted(runs), say)
            except RunferryError as error:
                say(f"{experiment}: its sweep is not on the server: {error}")


def _attach(  # noqa: PLR0913, PLR0917 - what belongs to one request
    experiment: Path,
    definition: dict[str, Any],
    server: Server,
    place: tuple[str, str],
    runs: list[str],
    say: Callable[[str], None],
) -> None:
    entity, project = place
    key = f"{server.base_url}/{entity}/{project}"
    known: dict[str, dict[str, Any]] = _read(experiment / FILE)
    before = known.get(key)
    if before and before["runs"] == runs:
        return
    variables = {
        "id": before["id"] if before else None,
        "config": yaml.safe_dump(definition, sort_keys=False, allow_unicode=True),
        "description": definition.get("description"),
        "entityName": entity,
        "projectName": project,
        "priorRunsFilters": json.dumps({"$or": [{"name": run} for run in runs]}),
        "displayName": definition.get("name", experiment.name),
    }
    sweep: dict[str, Any] = server.ask(_UPSERT, variables)["upsertSweep"]["sweep"]
    write_json(experiment / FILE, {**known, key: {"id": sweep["id"], "name": sweep["name"], "runs": runs}})
    url = f"{server.app_url}/{entity}/{project}/sweeps/{sweep['name']}"
    say(f"{experiment.name}: {len(runs)} runs are in its sweep, {url}")


def _synced(experiment: Path) -> dict[tuple[str, str, str], list[str]]:
    """Sort the runs that have a receipt by where they are."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for run in sorted(experiment.glob("*/run.json")):
        for name in ("receipt.json", "interim-receipt.json"):
            with suppress(OSError, ValueError):
                receipt = Receipt.read(run.parent / name)
                for each in receipt.each_wandb_run:
                    found.setdefault((receipt.base_url, each.entity, each.project), []).append(each.run)
                break
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except (OSError, ValueError):
        return {}

"""Sweeps as the stand-in keeps them: made or changed by a client, with the runs that it names as theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry_standin.filters import matching
from runferry_standin.problems import NotFoundError
from runferry_standin.runs import make_project, new_name, runs_of, state_of
from runferry_standin.store import identifier, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.context import Context
    from runferry_standin.store import Record

_SETTABLE = ("config", "description", "display_name", "state")


def _upsert_sweep(_: Any, context: Context, wanted: Record) -> Record:
    """Make a sweep, or change the one with the id; runs that `priorRunsFilters` names become runs of it.

    That a sweep begins as PENDING and that an update takes prior runs, too, is assumed.
    """
    store = context.store
    if wanted.get("id"):
        sweep = store.row("SELECT * FROM sweeps WHERE number = ?", number_of("Sweep", wanted["id"]))
        if sweep is None:
            message = f"sweep {wanted['id']} not found"
            raise NotFoundError(message)
    else:
        project = make_project(store, wanted.get("entity_name") or context.account.name, wanted.get("project_name"))
        number = store.write(
            "INSERT INTO sweeps (project, name, state, created_at) VALUES (?, ?, ?, ?)",
            *(project["number"], new_name(), "PENDING", store.now()),
        )
        sweep = store.row("SELECT * FROM sweeps WHERE number = ?", number)
        assert sweep is not None
    for column in _SETTABLE:
        if wanted.get(column) is not None:
            store.write(f"UPDATE sweeps SET {column} = ? WHERE number = ?", wanted[column], sweep["number"])
            sweep[column] = wanted[column]
    if wanted.get("prior_runs_filters"):
        accepts = matching(wanted["prior_runs_filters"])
        for run in runs_of(store, {"number": sweep["project"]}):
            if accepts(run | {"state": state_of(store, run)}):
                store.write("UPDATE runs SET sweep_name = ? WHERE number = ?", sweep["name"], run["number"])
    return {"sweep": sweep, "config_validation_warnings": []}


def _id(sweep: Record, _: Context) -> str:
    return identifier("Sweep", sweep["number"])


def _project(sweep: Record, context: Context) -> Record | None:
    return context.store.row("SELECT * FROM projects WHERE number = ?", sweep["project"])


RESOLVERS: dict[str, Callable[..., Any]] = {
    "Mutation.upsertSweep": _upsert_sweep,
    "Sweep.id": _id,
    "Sweep.project": _project,
}

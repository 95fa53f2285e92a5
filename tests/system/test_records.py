"""Records: JSON objects as dataclasses."""

from __future__ import annotations

import json

import pytest

from runferry.config.best_record import BestRecord
from runferry.config.place_record import PlaceRecord
from runferry.config.rounds import ChosenRun
from runferry.config.search.state import Asked, Forgotten, SearchRecord, Told
from runferry.launch.early_stop import NotedBands
from runferry.launch.pruning import ReportedRows
from runferry.runs.attempt_record import AttemptRecord, TrainedRecord
from runferry.runs.pack import Pack, PackEnd
from runferry.runs.receipt_record import Receipt
from runferry.runs.run_record import RunRecord
from runferry.system.records import from_json


def test_keys_of_a_later_version_are_kept_and_written_again(tmp_path):
    given = {"attempt": 1, "outcome": "running", "later": {"a": [1]}, "code": {"digest": "d", "new": 1}}
    record = from_json(AttemptRecord, given, "1.json")
    record.write(tmp_path / "1.json")
    written = json.loads((tmp_path / "1.json").read_text())
    assert (written["later"], written["code"]["new"]) == ({"a": [1]}, 1)
    assert AttemptRecord.read(tmp_path / "1.json").outcome == "running"


def test_keys_that_an_earlier_version_did_not_write_have_defaults():
    receipt = {"run": "r", "url": "u", "base_url": "b", "entity": "e", "project": "p", "segments": [{"name": "s"}]}
    sides = {"history_lines": 3, "last_step": 2, "state": "finished"}
    (one,) = from_json(Receipt, {**receipt, "disk": sides, "server": sides}, "receipt.json").each_wandb_run
    assert (one.run, one.entity, one.project, one.server.history_lines) == ("r", "e", "p", 3)
    assert from_json(TrainedRecord, {}, "trained.json").code is None


def test_a_null_where_none_can_be_is_a_key_that_is_not_there():
    run = from_json(RunRecord, {"id": "r", "name": None, "wandb": {"project": "p", "tags": None}}, "run.json")
    assert (run.name, run.of_wandb.tags, run.given_base_url) == ("", (), None)


BEGUN = {"experiment": "e", "where": "sweep.yaml", "definition": {"metric": {"name": "loss"}}, "engine": "optuna"}
BEGUN |= {"source": None, "seed": 0, "count": 9, "parallel": 2, "record": {"id": "", "nodes": 2}, "pruner": None}
ASKED = {"asked": 1, "place": 2, "run": "r", "parameters": {"x": 1.5}, "repetition": 0, "engine": "optuna"}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (SearchRecord, BEGUN),
        (Asked, ASKED),
        (Told, {"told": 1, "state": "pruned", "summary": {"loss": 2}, "history": [{"_step": 0, "loss": 2.0}]}),
        (Forgotten, {"forgotten": 1}),
        (PlaceRecord, {"run": "r", "finished": False}),
        (PlaceRecord, {"run": None, "finished": False, "reason": "its engine has no more points"}),
        (ChosenRun, {"id": "r", "parameters": {"x": 1}, "repetition": 1}),
        (BestRecord, {"run": "r", "of": 1}),
        (BestRecord, {"run": "r", "metric": "loss", "goal": "minimize", "value": 0.5, "of": 4}),
        (Pack, {"side_by_side": 2, "gpus": 1, "seconds": None, "runs": {"r": 0}, "share_gpu": 1}),
        (PackEnd, {"end": "2026-03-01T00:00:00.000+00:00", "runs": {"r": 143}}),
        (NotedBands, {"metric": "loss", "bands": {"3": 5.0}}),
        (ReportedRows, {"rows": [{"_step": 0, "loss": 2.0}]}),
    ],
)
def test_files_of_sweeps_and_packs_keep_their_keys_in_their_order(kind, content):
    assert json.dumps(from_json(kind, content, "file").to_json()) == json.dumps(content)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], r"run\.json: found \[\], expected a record of a run, a JSON object"),
        ({"name": "a"}, r"run\.json: found no id, expected a record of a run"),
        ({"id": 7}, r"run\.json: id: found 7, expected a text"),
        ({"id": "r", "nodes": True}, r"run\.json: nodes: found true, expected a whole number"),
        ({"id": "r", "command": ["a", 1]}, r"run\.json: command: found 1 in it, expected a text"),
        ({"id": "r", "wandb": {"entity": 1}}, r"run\.json: wandb: entity: found 1, expected a text or null"),
    ],
)
def test_what_is_no_such_record_is_refused_in_one_line(given, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        from_json(RunRecord, given, "run.json")

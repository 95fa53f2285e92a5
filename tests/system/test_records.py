"""Records: JSON objects as dataclasses."""

from __future__ import annotations

import json

import pytest

from runferry.runs.attempt_record import AttemptRecord, TrainedRecord
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

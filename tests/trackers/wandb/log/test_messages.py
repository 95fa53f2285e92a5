"""The messages of a log, compared with those of wandb."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runferry.trackers.wandb.log.messages import FIELDS
from support.written_segments import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("version", [*VERSIONS, "installed"])
def test_messages_have_the_field_numbers_of_wandbs_own(wandb_python: Callable[[str], Path], version: str) -> None:
    script = """
import json
from wandb.proto import wandb_internal_pb2
from google.protobuf.timestamp_pb2 import Timestamp
messages = {**wandb_internal_pb2.DESCRIPTOR.message_types_by_name, "Timestamp": Timestamp.DESCRIPTOR}
def kind(field):
    of = field.message_type.name if field.message_type else ""
    repeated = getattr(field, "is_repeated", None)
    repeated = field.label == field.LABEL_REPEATED if repeated is None else repeated
    return [field.number, of or field.type, repeated]
print(json.dumps({
    name: {field.name: kind(field) for field in message.fields} for name, message in messages.items()
}))
"""
    python = sys.executable if version == "installed" else wandb_python(version)
    done = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True)
    theirs = json.loads(done.stdout)
    # The numbers of google.protobuf.FieldDescriptor.TYPE_*.
    scalars = {"int64": 3, "int32": 5, "bool": 8, "string": 9, "enum": 14}
    # Our name for it -> W&B's.
    alike = {name: ["Record"] for name in ("HistoryOnly", "Measured", "Streamed", "Printed")}
    alike["Item"] = ["HistoryItem", "SummaryItem", "ConfigItem"]
    for message, fields in FIELDS.items():
        for name in alike.get(message, [message]):
            if message in {"HistoryUnread", "Unread"}:
                continue
            for field, (number, kind) in fields.items():
                if (name, field) in {("RunRecord", "resume"), ("RunExitRecord", "not_complete")}:
                    # Later additions; their numbers must not mean anything else before.
                    assert theirs[name].get(field, [number])[0] == number
                    assert [other for other, (taken, *_) in theirs[name].items() if taken == number] in (
                        [],
                        [field],
                    )
                    continue
                of = kind.removesuffix("*")
                # A message that is not looked into: theirs has another name, the number must be the same.
                of = theirs[name][field][1] if of == "Unread" else of
                expected = {"Item": name.replace("Record", "Item")}.get(of, scalars.get(of, of))
                assert theirs[name][field] == [number, expected, kind.endswith("*")], f"{name}.{field}"


def test_wandb_is_not_imported() -> None:
    modules = "runferry.trackers.wandb.log.segment, runferry.trackers.wandb.log.messages as m"
    script = f"import sys, {modules}; m.parser('Record'); print('wandb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_the_messages_live_beside_those_of_an_imported_wandb() -> None:
    modules = "wandb.proto.wandb_internal_pb2, runferry.trackers.wandb.log.messages as s"
    script = f"import {modules}; print(s.parser('Record')(b''))"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)

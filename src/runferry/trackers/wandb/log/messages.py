"""Declare the protobuf messages of a transaction log, as far as runferry reads them.

Only the messages and fields that are used are declared, with the numbers they have in W&B's
`wandb_internal.proto` (a test compares them with the installed wandb's own), because importing wandb costs
0.4 s of CPU each time, and `runferry sync` and `report` start often.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from collections.abc import Callable

KeyPath = tuple[str, ...]

# message -> field -> (number, type). A type with * is repeated; one that is no scalar is a message from here.
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Record": {
        "num": (1, "int64"),
        "history": (2, "HistoryRecord"),
        "summary": (3, "SummaryRecord"),
        "config": (5, "ConfigRecord"),
        "files": (6, "FilesRecord"),
        "artifact": (8, "ArtifactRecord"),
        "run": (17, "RunRecord"),
        "exit": (18, "RunExitRecord"),
        "header": (21, "HeaderRecord"),
    },
    "HeaderRecord": {"version_info": (1, "VersionInfo")},
    "VersionInfo": {"producer": (1, "string")},
    "RunRecord": {
        "run_id": (1, "string"),
        "entity": (2, "string"),
        "project": (3, "string"),
        "config": (4, "ConfigRecord"),
        "run_group": (6, "string"),
        "display_name": (8, "string"),
        "tags": (10, "string*"),
        "start_time": (17, "Timestamp"),
        "resumed": (18, "bool"),
        # Written from wandb 0.31 on.
        "resume": (24, "bool"),
    },
    # google.protobuf.Timestamp, which has these two fields.
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "RunExitRecord": {"exit_code": (1, "int32"), "not_complete": (3, "bool")},
    "ConfigRecord": {"update": (1, "Item*"), "remove": (2, "Item*")},
    "SummaryRecord": {"update": (1, "Item*"), "remove": (2, "Item*")},
    "HistoryRecord": {"item": (1, "Item*"), "step": (2, "HistoryStep")},
    "HistoryStep": {"num": (1, "int64")},
    # HistoryItem, SummaryItem and ConfigItem are alike: either `key` or `nested_key` is set.
    "Item": {"key": (1, "string"), "nested_key": (2, "string*"), "value_json": (16, "string")},
    "FilesRecord": {"files": (1, "FilesItem*")},
    "FilesItem": {"path": (1, "string")},
    "ArtifactRecord": {
        "run_id": (1, "string"),
        "type": (4, "string"),
        "name": (5, "string"),
        "digest": (6, "string"),
        "aliases": (11, "string*"),
        "tags": (19, "string*"),
        "manifest": (12, "ArtifactManifest"),
        "finalize": (14, "bool"),
        "incremental_beta1": (100, "bool"),
    },
    "ArtifactManifest": {"contents": (4, "ArtifactManifestEntry*")},
    "ArtifactManifestEntry": {"local_path": (6, "string")},
    "OutputRawRecord": {"output_type": (1, "enum"), "timestamp": (2, "Timestamp"), "line": (3, "string")},
    # A record of which only the history is looked at, or not even that: the rest costs nothing then.
    "HistoryOnly": {"history": (2, "HistoryRecord")},
    "HistoryUnread": {"history": (2, "Unread")},
    "Unread": {},
    # What a report draws.
    "Measured": {"history": (2, "HistoryRecord"), "stats": (7, "StatsRecord")},
    "StatsRecord": {"timestamp": (2, "Timestamp"), "item": (3, "StatsItem*")},
    "StatsItem": {"key": (1, "string"), "value_json": (16, "string")},
    # What is streamed line by line, and what is needed to tell the kinds apart.
    "Streamed": {
        "history": (2, "Unread"),
        "stats": (7, "Unread"),
        "output_raw": (13, "Unread"),
        "run": (17, "Unread"),
        "exit": (18, "Unread"),
    },
    "Printed": {"output_raw": (13, "OutputRawRecord")},
}


@cache
def parser(message: str) -> Callable[[bytes], Any]:
    """Return the function that parses bytes as one of the messages of `FIELDS`.

    It works at C speed where protobuf has its extension, and raises
    `google.protobuf.message.DecodeError` for bytes that are no such message.
    """
    return message_class(message).FromString


@cache
def message_class(message: str) -> Any:
    """Return the class of one of the messages of `FIELDS`, with which records can be made, too."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"runferry.{message}"))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    # A pool of our own: in the default one the names would clash with those of an imported wandb.
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="runferry.proto", package="runferry", syntax="proto3")
    for message, fields in FIELDS.items():
        declared = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            added = declared.field.add(name=name, number=number)
            added.label = added.LABEL_REPEATED if kind.endswith("*") else added.LABEL_OPTIONAL
            scalar = kind.rstrip("*")
            if scalar in FIELDS:
                added.type, added.type_name = added.TYPE_MESSAGE, f".runferry.{scalar}"
            else:
                # An enum is written as a number is; its names are of no use here.
                added.type = added.TYPE_INT32 if scalar == "enum" else getattr(added, f"TYPE_{scalar.upper()}")
    pool.Add(file)
    return pool


def path_of(item: Any) -> KeyPath:
    """Return the path of an item of a history, summary or config record: one key where it is not nested."""
    return tuple(item.nested_key) or (item.key,)


def name_of(item: Any) -> str:
    """Return the key of such an item as W&B shows it: the keys of a nested one joined with dots."""
    return item.key or ".".join(item.nested_key)

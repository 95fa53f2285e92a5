"""Hear what a training process and its wandb-core say to each other about W&B runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.trackers.wandb.steps import ContinuedRuns
from runferry.trackers.wandb.told import read_part
from runferry.trackers.wandb.wire import HEADER_BYTES, REQUEST_ID, fields, find

if TYPE_CHECKING:
    from runferry.trackers.wandb.job_runs import JobRuns

# ServerRequest.record_publish and .record_communicate, a Record, and .inform_init; of all _info.stream_id, of the
# last settings.sync_dir.value. A stream's id is its W&B run's. The numbers are the same in wandb 0.22 to 0.31.
_RECORDS, _INFORM_INIT = (1, 2), 3
_SYNC_DIR, _STREAM = (1, 133, 1), (200, 1)
_EXIT = 18


class Conversation:
    """Hears what one client and its wandb-core ask and answer.

    Parameters
    ----------
    runs
        Of the attempt.
    """

    def __init__(self, runs: JobRuns) -> None:
        self._runs = runs
        self._continued = ContinuedRuns(runs.answered)

    def heard(self, message: bytes) -> None:
        """Take note of what a client asks, before wandb-core gets it."""
        question, run, ends = "", "", False
        for number, _, content in fields(message[HEADER_BYTES:]):
            if not isinstance(content, bytes):
                continue
            if number == REQUEST_ID:
                question = content.decode(errors="replace")
            elif number in _RECORDS:
                run = (find(content, _STREAM) or b"").decode(errors="replace")
                ends = find(content, (_EXIT,)) is not None
            elif number == _INFORM_INIT and (folder := find(content, _SYNC_DIR)):
                self._runs.begins((find(content, _STREAM) or b"").decode(), Path(os.fsdecode(folder)))
        if ends:
            self._runs.ends(run)
        elif run:
            self._continued.asked(question, run)

    def published(self, data: bytearray, begin: int, end: int) -> None:
        """Count the row that a client sends, where a record that it wants no answer to is a part of one."""
        found = read_part(data, begin, end)
        if found and (told := self._runs.told(found[0])):
            told.part(self, found[1])

    def amended(self, answer: bytes) -> bytes:
        """Return what wandb-core answers, in the form that the client shall get."""
        return self._continued.amended(answer)

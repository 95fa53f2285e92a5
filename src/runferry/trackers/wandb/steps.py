"""Continue the steps of a run in a new attempt, as W&B does for a run that is resumed online.

Offline there is no server that could tell wandb that the run was begun before: `run.step` is 0 again, `run.resumed` is
False, and the steps of the second segment overlap those of the first. The answer to `wandb.init` is where the server's
word would be, and it passes through `service`; so it is put in here. What wandb makes of it is its own
doing, the same as online: steps that the script leaves to wandb go on, `step=` with a step that has been logged is
refused with wandb's own warning.

Measured with wandb 0.22.3, 0.27.2 and 0.31.0; the numbers of the fields are the same in all three (a test compares
them with the messages of each installed wandb).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runferry.errors import NotVerifiedError, SegmentError
from runferry.trackers.wandb.wire import HEADER_BYTES, REQUEST_ID, encode_varint, fields, find, framed, number, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runferry.runs.folder import RunFolder

# ServerResponse.result_communicate, Result.run_result, RunUpdateResult.run: the answer to wandb.init.
_TO_THE_RUN = (2, 17, 1)
_RUN_ID, _STARTING_STEP, _RESUMED = 1, 14, 18
# ServerResponse.result_communicate, Result.response, Response.history_step_response: the answer to `run.step`, for
# which 0.27 and later ask wandb-core, which counts from 0 until the first row has come.
_TO_THE_STEP = (2, 100, 75)
_STEP = 1
_VARINT, _BYTES = 0, 2


class ContinuedRuns:
    """Amends wandb-core's answers on one connection of a client, so that the steps of its W&B runs continue.

    Parameters
    ----------
    answered
        Gives the step at which the W&B run of an id goes on; 0 for one that begins. Called at each wandb.init with the
        id and the step at which wandb-core begins.
    """

    def __init__(self, answered: Callable[[str, int], int]) -> None:
        self._answered = answered
        self._steps: dict[str, int] = {}
        # By the number of a question that has not been answered: the W&B run that it is about.
        self._questions: dict[str, str] = {}

    def asked(self, question: str, run: str) -> None:
        """Keep which W&B run a question is about, which the answer does not say."""
        if self._steps.get(run):
            self._questions[question] = run

    def amended(self, message: bytes) -> bytes:
        """Return a message from wandb-core, header and all, in the form that the client shall get."""
        answer = message[HEADER_BYTES:]
        begun = find(answer, _TO_THE_RUN)
        if begun is not None:
            run = text(begun, _RUN_ID)
            step = self._steps[run] = self._answered(run, number(begun, _STARTING_STEP))
            addition = _field(_STARTING_STEP, step) + _field(_RESUMED, 1)
            return framed(_extended(answer, _TO_THE_RUN, addition)) if step else message
        run = self._questions.pop(text(answer, REQUEST_ID), None) if self._questions else None
        if run is None:
            return message
        found = find(answer, _TO_THE_STEP)
        if found is not None and number(found, _STEP) < self._steps[run]:
            return framed(_extended(answer, _TO_THE_STEP, _field(_STEP, self._steps[run])))
        return message


def _extended(message: bytes, path: tuple[int, ...], addition: bytes) -> bytes:
    """Append fields to the message at `path`: the last value of a field that comes twice counts."""
    if not path:
        return message + addition
    parts: list[bytes] = []
    for each, whole, content in fields(message):
        if each == path[0] and isinstance(content, bytes):
            inner = _extended(content, path[1:], addition)
            parts.append(encode_varint(each << 3 | _BYTES) + encode_varint(len(inner)) + inner)
        else:
            parts.append(whole)
    return b"".join(parts)


def _field(place: int, value: int) -> bytes:
    return encode_varint(place << 3 | _VARINT) + encode_varint(value)


def first_free_step(folder: RunFolder, run: str, segments: Iterable[tuple[Path, bool]]) -> int:
    """Return the step at which a W&B run goes on: after the last of its segments that have ended, also deleted ones.

    Parameters
    ----------
    folder
        Of the job.
    run
        The id of the W&B run.
    segments
        Its segments, and of each whether it is an earlier attempt's: those have ended, however they did; of this
        attempt's own those that their process has finished.
    """
    # Only here: a W&B run that begins needs neither it nor protobuf.
    from runferry.trackers.wandb.deleted import read_cleaned
    from runferry.trackers.wandb.log.segment import read_segment

    last = -1
    # What is wrong with the file the sync says: a training is not held up by it.
    with suppress(NotVerifiedError):
        cleaned = read_cleaned(folder, run)
        last = -1 if cleaned is None or cleaned.last_step is None else cleaned.last_step
    for path, is_earlier in segments:
        try:
            segment = read_segment(path)
        except SegmentError:
            continue
        if is_earlier or segment.exit_code is not None:
            last = max(last, -1 if segment.last_step is None else segment.last_step)
    return last + 1

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
from runferry.trackers.wandb.wire import HEADER_BYTES, decode_varint, encode_varint, framed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runferry.runs.attempt import Attempt

# ServerResponse.result_communicate, Result.run_result, RunUpdateResult.run: the answer to wandb.init.
_TO_THE_RUN = (2, 17, 1)
_STARTING_STEP, _RESUMED = 14, 18
# ServerResponse.result_communicate, Result.response, Response.history_step_response: the answer to `run.step`, for
# which 0.27 and later ask wandb-core, which counts from 0 until the first row has come.
_TO_THE_STEP = (2, 100, 75)
_STEP = 1
_VARINT, _BYTES = 0, 2


class ContinuedRun:
    """Amends wandb-core's answers on one connection of a client, so that the run's steps continue.

    Parameters
    ----------
    first_free_step
        Gives the step at which a run that is opened now goes on; 0 for one that begins. Asked at each wandb.init.
    """

    def __init__(self, first_free_step: Callable[[], int]) -> None:
        self._first_free_step = first_free_step
        self._step = 0

    def amended(self, message: bytes) -> bytes:
        """Return a message from wandb-core, header and all, in the form that the client shall get."""
        answer = message[HEADER_BYTES:]
        if _find(answer, _TO_THE_RUN) is not None:
            self._step = self._first_free_step()
            addition = _field(_STARTING_STEP, self._step) + _field(_RESUMED, 1)
            return framed(_extended(answer, _TO_THE_RUN, addition)) if self._step else message
        found = _find(answer, _TO_THE_STEP) if self._step else None
        if found is not None and _number(found, _STEP) < self._step:
            return framed(_extended(answer, _TO_THE_STEP, _field(_STEP, self._step)))
        return message


def _find(message: bytes, path: tuple[int, ...]) -> bytes | None:
    """Find the message that lies at `path` within `message`."""
    if not path:
        return message
    for number, _, content in _fields(message):
        if number == path[0] and isinstance(content, bytes):
            return _find(content, path[1:])
    return None


def _number(message: bytes, wanted: int) -> int:
    """Return the number in a field; 0, which is not sent, where there is none."""
    return next(
        (content for number, _, content in _fields(message) if number == wanted and isinstance(content, int)), 0
    )


def _extended(message: bytes, path: tuple[int, ...], addition: bytes) -> bytes:
    """Append fields to the message at `path`: the last value of a field that comes twice counts."""
    if not path:
        return message + addition
    parts: list[bytes] = []
    for number, whole, content in _fields(message):
        if number == path[0] and isinstance(content, bytes):
            inner = _extended(content, path[1:], addition)
            parts.append(encode_varint(number << 3 | _BYTES) + encode_varint(len(inner)) + inner)
        else:
            parts.append(whole)
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, int | bytes | None]]:
    """Yield the number of each field, the field whole, and its content: a number, or bytes; None for another kind."""
    position = 0
    while position < len(message):
        begin = position
        tag, position = decode_varint(message, position)
        content: int | bytes | None = None
        match tag & 7:
            case 0:
                content, position = decode_varint(message, position)
            case 1:
                position += 8
            case 2:
                length, position = decode_varint(message, position)
                content = message[position : position + length]
                position += length
            case _:
                position += 4
        yield tag >> 3, message[begin:position], content


def _field(number: int, value: int) -> bytes:
    return encode_varint(number << 3 | _VARINT) + encode_varint(value)


def first_free_step(attempt: Attempt) -> int:
    """Return the step at which a run goes on: after the last of all segments that have ended, also deleted ones.

    Those of earlier attempts have, however they ended; of this attempt's own those that their process has finished.
    """
    # Only here: a run's first attempt needs neither it nor protobuf.
    from runferry.trackers.wandb.deleted import read_cleaned
    from runferry.trackers.wandb.log.segment import read_segment

    last = -1
    # What is wrong with the file the sync says: a training is not held up by it.
    with suppress(NotVerifiedError):
        cleaned = read_cleaned(attempt.folder)
        last = -1 if cleaned is None or cleaned.last_step is None else cleaned.last_step
    for path in attempt.folder.segments():
        try:
            segment = read_segment(path)
        except SegmentError:
            continue
        if path.name in attempt.segments_before or segment.exit_code is not None:
            last = max(last, -1 if segment.last_step is None else segment.last_step)
    return last + 1

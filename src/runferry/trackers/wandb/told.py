"""Count the rows that a process tells its wandb-core, as wandb-core makes rows of them.

What `run.log` sends is a part of a row: wandb-core (0.22 to 0.31, `handlePartialHistory` in its `handler.go`) joins
parts of one step, leaves out a part whose step is behind, and writes the row when the next step begins, when a part
asks for it, or at the run's end.
"""

from __future__ import annotations

from dataclasses import dataclass

from runferry.trackers.wandb.wire import decode_varint, fields

# Record.tbrecord, .request and ._info; _RecordInfo.stream_id; Request.partial_history.
_TENSORBOARD, _REQUEST, _INFO, _STREAM, _PART = 9, 100, 200, 1, 10
# PartialHistoryRequest.item, as its tag; .step.num and .action.flush.
_ITEM_TAG, _STEP, _ACTION, _VALUE = 0x0A, 2, 3, 1
_HISTORY = 2


@dataclass
class Told:
    """The rows of one segment, as far as they have been told.

    Attributes
    ----------
    step
        At which wandb-core is.
    rows
        That it has written or is about to write.
    waits
        Whether there are metrics of a row that is not complete.
    """

    step: int = 0
    rows: int = 0
    waits: bool = False
    _by: object = None
    _ordered: bool = True
    _simple: bool = True

    def part(self, by: object, part: Part) -> None:
        """Count a part of a row.

        Parameters
        ----------
        by
            The connection that it came from.
        part
            What it says.
        """
        if self._by is not by:
            # In which order wandb-core reads from two connections nobody can say.
            self._ordered = self._by is None
            self._by = by
        if part.tensorboard:
            # wandb-core makes rows of its own of what it reads in the event files.
            self._ordered = False
            return
        if part.step is not None:
            self._simple = False
            if part.step > self.step:
                self._write(part.step)
            elif part.step < self.step:
                return
        self.waits |= part.metrics
        if part.flush is not None:
            self._simple = False
        if part.flush or (part.flush is None and part.step is None):
            self._write(self.step + 1)

    def expected(self) -> int | None:
        """Return the number of rows that the segment has at least at the run's end; None where it cannot be said."""
        return self.rows + self.waits if self._ordered or self._simple else None

    def _write(self, step: int) -> None:
        self.rows += self.waits
        self.waits, self.step = False, step


@dataclass(frozen=True)
class Part:
    """What one `run.log` says: whether it has metrics, its step and whether the row is complete, where it says so."""

    metrics: bool = False
    step: int | None = None
    flush: bool | None = None
    tensorboard: bool = False


def read_part(data: bytes | bytearray, position: int, end: int) -> tuple[bytes, Part] | None:
    """Read a record that a client publishes; None where it is no part of a row.

    This is done for every row.

    Parameters
    ----------
    data
        With a `Record` from `position` to `end`.

    Returns
    -------
    tuple
        The id of the stream, which is the W&B run's, and the part.
    """
    stream, part = b"", None
    end = min(end, len(data))
    while position < end:
        tag, position = decode_varint(data, position)
        if tag & 7 != 2:
            if tag & 7:
                return None
            position = decode_varint(data, position)[1]
            continue
        length, position = decode_varint(data, position)
        after = min(position + length, end)
        number = tag >> 3
        if number == _REQUEST:
            tag, position = decode_varint(data, position)
            if tag != _PART << 3 | 2:
                return None
            begin, end_of_part = _inner(data, position)
            part = _part(data, begin, min(end_of_part, end))
        elif number == _TENSORBOARD:
            part = Part(tensorboard=True)
        elif number == _INFO and position < after and data[position] == _STREAM << 3 | 2:
            begin, end_of_id = _inner(data, position + 1)
            stream = bytes(data[begin:end_of_id])
        position = after
    return None if part is None else (stream, part)


def is_row(record: bytes) -> bool:
    """Return whether a record of a transaction log is a row."""
    return any(number == _HISTORY for number, _, _ in fields(record))


def _inner(data: bytes | bytearray, position: int) -> tuple[int, int]:
    length, position = decode_varint(data, position)
    return position, position + length


def _part(data: bytes | bytearray, position: int, end: int) -> Part:
    metrics, step, flush = False, None, None
    while position + 1 < end:
        tag = data[position]
        length = data[position + 1]
        if length < 0x80:
            position += 2
        else:
            length, position = decode_varint(data, position + 1)
        if tag == _ITEM_TAG:
            metrics = True
        elif tag == _STEP << 3 | 2:
            # A number that is 0 is not sent.
            step = decode_varint(data, position + 1)[0] if length else 0
        elif tag == _ACTION << 3 | 2:
            flush = bool(length and decode_varint(data, position + 1)[0])
        elif tag & 7 != 2 or tag >= 0x80:
            # `_info`, which comes last and of which nothing is wanted.
            break
        position += length
    return Part(metrics, step, flush)

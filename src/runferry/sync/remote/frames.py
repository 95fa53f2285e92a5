r"""Exchange frames over a pair of pipes: a line of JSON, and as many compressed bytes as it says.

    {"op": "get", "body": 57}\n<57 bytes, zlib>

Each side trusts the other with nothing: a frame that is longer than what is ever sent ends the conversation.
"""

from __future__ import annotations

import json
import os
import select
import zlib
from typing import Any

from runferry.errors import RunferryError
from runferry.system.values import is_mapping

GREETING = b"runferry-results 1\n"
"""The first line of the site's side; what a shell's start-up files print comes before it."""
LONGEST_LINE = 2**16
LARGEST_BODY = 2**24
"""Bytes of a body, compressed or not."""
CHUNK = 2**18
"""Bytes of a file in a frame: what a cut line loses at most."""
SILENT_SECONDS = 120.0
"""After which the other side is taken for gone."""
PING_SECONDS = 15.0
"""Between two signs of life."""


class LineError(RunferryError):
    """Raised when the line to the other side ended, or carried what is no frame."""

    before_next = "nothing is lost; to go on where it was, run"


class Line:
    """One side of a conversation.

    Attributes
    ----------
    bytes_received : int
        So far, as they came over the line.
    """

    def __init__(self, source: int, sink: int, seconds: float = SILENT_SECONDS) -> None:
        """Read from one file descriptor and write to another; give up after so many seconds of silence."""
        self._source, self._sink, self._seconds = source, sink, seconds
        self._buffer = bytearray()
        # What nobody reads any more is noticed, too.
        os.set_blocking(sink, False)
        self.bytes_received = 0

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Send a frame.

        Raises
        ------
        LineError
            When the other side has gone.
        """
        packed = zlib.compress(body, 1) if body else b""
        line = json.dumps({**header, "body": len(packed)} if packed else header).encode() + b"\n"
        self.write(line + packed)

    def write(self, data: bytes) -> None:
        """Send bytes as they are; raises as `send`."""
        view = memoryview(data)
        try:
            while view:
                self._wait_for(sink=True)
                view = view[os.write(self._sink, view) :]
        except OSError as error:
            raise LineError(f"connection: found it closed ({error.strerror}), expected to send on it") from error

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Return the next frame: its header and its body.

        Raises
        ------
        LineError
            When the other side has gone, is silent for too long, or sends what is no frame.
        """
        line = self.read_line()
        try:
            header: Any = json.loads(line)
        except (ValueError, RecursionError):
            header = None
        size: Any = header.get("body", 0) if is_mapping(header) else None
        if not is_mapping(header) or type(size) is not int or not 0 <= size <= LARGEST_BODY:
            raise LineError(f"connection: found {line[:60]!r}, expected a frame of runferry's")
        if not size:
            return dict(header), b""
        packed = self._take(size)
        unpacker = zlib.decompressobj()
        try:
            body = unpacker.decompress(packed, LARGEST_BODY)
        except zlib.error:
            body = b""
        if not unpacker.eof:
            raise LineError(f"connection: found {size} bytes that cannot be unpacked, expected a compressed body")
        return dict(header), body

    def read_line(self) -> bytes:
        """Return the next line without its end; raises as `receive`."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) >= LONGEST_LINE:
                raise LineError(
                    "connection: found 64 KiB without a line's end, expected a shorter first line of a frame"
                )
            self._fill()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self) -> None:
        self._wait_for(sink=False)
        data = os.read(self._source, 2**16)
        if not data:
            raise LineError("connection: found its end, expected an answer of the other side")
        self.bytes_received += len(data)
        self._buffer += data

    def _wait_for(self, *, sink: bool) -> None:
        sources, sinks = (list[int](), [self._sink]) if sink else ([self._source], list[int]())
        if not any(select.select(sources, sinks, list[int](), self._seconds)):
            found = f"found nothing {'sent' if sink else 'received'} for {self._seconds:.0f} s"
            raise LineError(f"connection: {found}, expected an answer of the other side")

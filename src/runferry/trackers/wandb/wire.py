"""Encode and decode the messages between wandb and wandb-core."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

# A message on the socket: "W", its length as u32, and a ServerRequest (wandb/proto/wandb_server.proto).
_HEADER = struct.Struct("<BI")


_MAGIC = ord("W")


HEADER_BYTES = _HEADER.size


# Fields of ServerRequest; the first is ServerResponse's too.
REQUEST_ID = 10


# record_publish, a message: the first field, which is written first.
_RECORD_TAG = 1 << 3 | 2


_INFORM_ATTACH = 5


_INFORM_TEARDOWN = 7


# Field of ServerInformTeardownRequest.
_EXIT_CODE = 1


def service_token(socket_path: str) -> str:
    """Return the value of WANDB_SERVICE with which a client connects to `socket_path` and starts no wandb-core.

    The number is of no use to the client; 3 is the version of the format in all three wandb versions.
    """
    return f"3-{os.getpid()}-unix-{socket_path}"


def framed(request: bytes) -> bytes:
    """Return a ServerRequest with the header of the client's protocol in front."""
    return _HEADER.pack(_MAGIC, len(request)) + request


def teardown_request(exit_code: int) -> bytes:
    """Encode ServerRequest(inform_teardown=ServerInformTeardownRequest(exit_code=exit_code)), 0 <= exit_code < 256."""
    teardown = b"" if exit_code == 0 else bytes([_EXIT_CODE << 3]) + encode_varint(exit_code)
    return bytes([_INFORM_TEARDOWN << 3 | 2, len(teardown)]) + teardown


def read_message(connection: socket.socket) -> bytes | None:
    """Read one message, header and all; None when the other side closed, or does not speak this protocol."""
    header = _read_exactly(connection, _HEADER.size)
    if header is None:
        return None
    magic, length = _HEADER.unpack(header)
    if magic != _MAGIC:
        return None
    request = _read_exactly(connection, length)
    return None if request is None else header + request


def length_of_whole_messages(
    data: bytearray, asking: list[bytes], published: Callable[[bytearray, int, int], object] | None = None
) -> int:
    """Return how many bytes of `data`, which begins with a message, belong to complete messages.

    Parameters
    ----------
    data
        What came from a client.
    asking
        Gets those of its messages that are more than a record: an answer is wanted, which a row needs none of.
    published
        Called with `data` and where in it each of the other records begins and ends.

    Raises
    ------
    OSError
        When it does not begin with a message.
    """
    position = 0
    while position + _HEADER.size <= len(data):
        magic, length = _HEADER.unpack_from(data, position)
        if magic != _MAGIC:
            message = f"expected a message of wandb's, found the byte {magic:#04x}"
            raise OSError(message)
        if position + _HEADER.size + length > len(data):
            break
        begin, content = position, position + _HEADER.size
        position = content + length
        # This is done for every row.
        if length and data[content] == _RECORD_TAG:
            size, record = decode_varint(data, content + 1)
            if record + size == position:
                if published:
                    published(data, record, position)
                continue
        asking.append(bytes(data[begin:position]))
    return position


def joins_a_run(message: bytes) -> bool:
    """Return whether a message asks to continue a run that another process has opened (as a forked child does)."""
    request = message[_HEADER.size :]
    position = 0
    while position < len(request):
        tag, position = decode_varint(request, position)
        if tag >> 3 != REQUEST_ID:
            return tag >> 3 == _INFORM_ATTACH
        length, position = decode_varint(request, position)
        position += length
    return False


def _read_exactly(connection: socket.socket, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 16))
        if not part:
            return None
        parts += part
    return bytes(parts)


def encode_varint(value: int) -> bytes:
    """Encode a number that is not negative as protobuf does."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode_varint(data: bytes | bytearray, position: int) -> tuple[int, int]:
    """Return the number at `position`, and the position after it."""
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, position


def fields(message: bytes) -> Iterator[tuple[int, bytes, int | bytes | None]]:
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


def find(message: bytes, path: tuple[int, ...]) -> bytes | None:
    """Find the message that lies at `path` within `message`."""
    if not path:
        return message
    for each, _, content in fields(message):
        if each == path[0] and isinstance(content, bytes):
            return find(content, path[1:])
    return None


def number(message: bytes, wanted: int) -> int:
    """Return the number in a field; 0, which is not sent, where there is none."""
    return next((content for each, _, content in fields(message) if each == wanted and isinstance(content, int)), 0)


def text(message: bytes, wanted: int) -> str:
    """Return the text in a field; empty where there is none."""
    return (find(message, (wanted,)) or b"").decode(errors="replace")

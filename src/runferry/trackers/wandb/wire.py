"""Encode and decode the messages between wandb and wandb-core."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

# A message on the socket: "W", its length as u32, and a ServerRequest (wandb/proto/wandb_server.proto).
_HEADER = struct.Struct("<BI")


_MAGIC = ord("W")


HEADER_BYTES = _HEADER.size


# Fields of ServerRequest.
_REQUEST_ID = 10


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


def length_of_whole_messages(data: bytearray) -> int:
    """Return how many bytes of `data`, which begins with a message, belong to complete messages.

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
        position += _HEADER.size + length
    return position


def joins_a_run(message: bytes) -> bool:
    """Return whether a message asks to continue a run that another process has opened (as a forked child does)."""
    request = message[_HEADER.size :]
    position = 0
    while position < len(request):
        tag, position = decode_varint(request, position)
        if tag >> 3 != _REQUEST_ID:
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


def decode_varint(data: bytes, position: int) -> tuple[int, int]:
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

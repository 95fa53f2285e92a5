"""Has a server on loopback answer at an address that the nodes reach, as a site's proxy does."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def relayed(address: str, *ports: int, closed_to: str | None = None) -> Iterator[None]:
    """Listen at `address` on the ports of loopback; hang up on whoever calls from the address `closed_to`."""
    with ExitStack() as listeners:
        for port in ports:
            listener = listeners.enter_context(socket.create_server((address, port)))
            listeners.callback(listener.shutdown, socket.SHUT_RDWR)
            threading.Thread(target=_serve, args=(listener, port, closed_to), daemon=True).start()
        yield


def _serve(listener: socket.socket, port: int, closed_to: str | None) -> None:
    with suppress(OSError):
        while True:
            near, (caller, _) = listener.accept()
            if caller == closed_to:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", port))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

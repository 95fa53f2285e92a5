"""A forward proxy on loopback, as a site's `httpproxy` is one: it lets some names through and no others."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class ForwardProxy:
    """A running one.

    Attributes
    ----------
    url
        Of the proxy.
    certificate
        What a client has to trust to talk to the name that is let through.
    passed, blocked
        The `<name>:<port>` of the tunnels that clients asked for, one for each time.
    """

    url: str
    certificate: Path
    passed: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What the module of a site sets, and the certificate for wandb's Go and Python halves."""
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), self.url)
        trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(self.certificate))
        return proxies | trusted


@contextmanager
def forward_proxy(name: str, port: int, folder: Path, *, drop: bool) -> Iterator[ForwardProxy]:
    """Run a proxy that lets HTTPS to a name through, to a server that speaks HTTP on a port of this machine.

    Parameters
    ----------
    name
        That nobody but the proxy knows: no client comes to the server without it.
    port
        Of the server, on loopback.
    folder
        For the certificate.
    drop
        Whether a tunnel to any other name is never answered; else it is refused with 403, as Squid does.
    """
    certificate, key = folder / "proxy.crt", folder / "proxy.key"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    make += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    def serve(client: socket.socket) -> None:
        target = _asked_for(client)
        if target == f"{name}:443":
            proxy.passed.append(target)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with (
                tls.wrap_socket(client, server_side=True) as near,
                socket.create_connection(("127.0.0.1", port)) as far,
            ):
                _carry_both_ways(near, far)
            return
        proxy.blocked.append(target)
        if not drop:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        # Silent, until the client gives up.
        while client.recv(1 << 16):
            pass

    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        proxy = ForwardProxy(f"http://127.0.0.1:{listener.getsockname()[1]}", certificate)
        threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    def serve_and_close(client: socket.socket) -> None:
        with client, suppress(OSError):
            serve(client)

    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve_and_close, args=(client,), daemon=True).start()


def _asked_for(client: socket.socket) -> str:
    """Read the head of a request and give what it is for: `<name>:<port>` of CONNECT, else the whole address."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = client.recv(1 << 16)
        if not part:
            raise ConnectionError
        head += part
    return head.split(b" ", 2)[1].decode()


def _carry_both_ways(near: ssl.SSLSocket, far: socket.socket) -> None:
    def answers() -> None:
        with suppress(OSError):
            while data := far.recv(1 << 16):
                near.sendall(data)
            near.shutdown(socket.SHUT_WR)

    threading.Thread(target=answers, daemon=True).start()
    while data := near.recv(1 << 16):
        far.sendall(data)

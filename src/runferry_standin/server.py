"""Starting the stand-in and stopping it: in a thread of this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import uvicorn

from runferry.errors import ConfigError
from runferry_standin import inspection, pages
from runferry_standin.app import DEMO_KEY, App
from runferry_standin.behaviour import Behaviour
from runferry_standin.client import ProcessStandIn, StandIn
from runferry_standin.front import Protocol
from runferry_standin.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

LAG_VARIABLE = "STANDIN_LAG"
"""Environment variable with the lag, in seconds, of every stand-in that is not told one: for a whole run of tests."""

SHORTEST_KEY = 40
"""Characters: the clients refuse to use a shorter key (measured: 0.22 to 0.31)."""

STOP_SECONDS = 2
"""How long requests that are being answered may take when the server stops."""


def loopback_address(host: str) -> str:
    """Return the numeric address of a host name or address that is this machine's loopback.

    Raises
    ------
    ConfigError
        When it is any other: the stand-in keeps one person's data and has no way to keep others out.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        message = f"--host {host}: the stand-in binds to loopback only; expected 127.0.0.1, ::1 or localhost"
        raise ConfigError(message)
    return str(address)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a loopback address.

    Raises
    ------
    ConfigError
        When the host is not loopback or the port is taken.
    """
    address = loopback_address(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except (OSError, OverflowError) as error:
        listener.close()
        message = f"--port {port}: cannot listen there ({error}); name another, or 0 for any that is free"
        raise ConfigError(message) from error
    listener.listen(256)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address of a listening socket as a client writes it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def running(  # noqa: PLR0913 - each is a keyword with a default
    *,
    data: Path | None = None,
    key: str = DEMO_KEY,
    host: str = "127.0.0.1",
    port: int = 0,
    storage_port: int | None = None,
    storage_served: bool = True,
    clock: Callable[[], float] = time.time,
    lag: float | None = None,
) -> Generator[StandIn]:
    """Run the stand-in in a thread of this process for as long as the context lasts.

    Parameters
    ----------
    data
        The SQLite file; None keeps everything in memory.
    port, storage_port
        0 picks a free one. Without a `storage_port`, contents go through `port` too.
    storage_served
        False names `storage_port` to the clients and leaves it to the caller what answers there, or that nothing does.
    clock
        Seconds since the epoch, as the server sees them.
    lag
        Seconds by which counts, summary and tails are behind; None: what STANDIN_LAG says, else 0.

    Raises
    ------
    ConfigError
        When the host is not loopback, a port is taken, the file is not to be had, the key is too short, or STANDIN_LAG
        is no number of seconds.
    """
    of_environment = os.environ.get(LAG_VARIABLE) or "0"
    behaviour = Behaviour(lag=_lag(of_environment, f"{LAG_VARIABLE}=") if lag is None else _lag(lag))
    if len(key) < SHORTEST_KEY:
        message = f"the key has {len(key)} characters; expected at least {SHORTEST_KEY}, as wandb's clients do"
        raise ConfigError(message)
    store = Store(data, clock)
    listeners: list[socket.socket] = []
    try:
        listeners.append(listen(host, port))
        if storage_port is not None and storage_served:
            listeners.append(listen(host, storage_port))
            storage_port = int(listeners[1].getsockname()[1])
        app = App(store, key, storage_port, (inspection.routes, pages.routes), behaviour=behaviour)
        url = url_of(listeners[0])
        with _in_thread(app, listeners):
            yield StandIn(url, key)
    finally:
        for listener in listeners:
            listener.close()
        store.close()


def _lag(seconds: float | str, name: str = "lag ") -> float:
    """Return a lag in seconds.

    Raises
    ------
    ConfigError
        When it is no number of seconds.
    """
    try:
        number = float(seconds)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        message = f"{name}{seconds}: expected seconds, such as 2 or 0.5"
        raise ConfigError(message)
    return number


@contextmanager
def _in_thread(app: App, listeners: list[socket.socket]) -> Generator[None]:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            # Clients keep connections for a minute and more; the one who closes first should not be the server.
            timeout_keep_alive=120,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    loop = asyncio.new_event_loop()

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(server.serve(listeners))

    thread = threading.Thread(target=serve, name="standin", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        # Requests that hang would hold the server up. The loop is closed when the server has failed by itself.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(app.front.stop)
        thread.join()


@contextmanager
def running_process(
    *,
    data: Path | None = None,
    key: str = DEMO_KEY,
    port: int = 0,
    storage_port: int | None = None,
) -> Generator[ProcessStandIn]:
    """Run the stand-in as a process of its own, as `python -m runferry_standin` does, for as long as the context lasts.

    The parameters are those of `running`, which is quicker to start; this one can be killed.

    Raises
    ------
    ConfigError
        When it does not start; the text is what it said.
    """
    command = [sys.executable, "-m", "runferry_standin", "--port", str(port), "--data", str(data or ":memory:")]
    if storage_port is not None:
        command += ["--storage-port", str(storage_port)]
    # The key in the environment: a command line is everybody's to read.
    environment = os.environ | {"WANDB_API_KEY": key}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        if address is None:
            process.wait()
            errors.seek(0)
            message = errors.read().strip()
            raise ConfigError(message)
        try:
            yield ProcessStandIn(address[0], key, process)
        finally:
            process.terminate()

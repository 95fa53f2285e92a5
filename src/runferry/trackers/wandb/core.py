"""Find, start and end the wandb-core process of the training environment.

What a training process logs goes over a socket to a process of wandb's own, wandb-core, which keeps up to 32 KiB of
it in memory before it writes. Left alone it is a child of the training process and dies with it, and what it held is
lost. Here it is started by a process that outlives the training process (see `runferry.launch.core_keeper`).

Measured with wandb 0.22.3, 0.27.2 and 0.31.0 on Linux x86-64; the numbers of the messages below are the same in
all three (a test compares them with the messages of each installed wandb).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.config.names import OFFLINE
from runferry.errors import LaunchError
from runferry.trackers.wandb.wire import framed, teardown_request

if TYPE_CHECKING:
    from collections.abc import Mapping


#: Seconds until a starting wandb-core must answer; wandb's own client waits as long. It took 0.03 to 0.06 s here, but
#: its 40 MB may come from a busy shared filesystem.
START_SECONDS = 30.0


@dataclass(frozen=True)
class InstalledCore:
    """The wandb-core that belongs to an installed wandb."""

    binary: Path
    version: str | None


def find_core(arguments: list[str], search_path: str) -> InstalledCore | None:
    """Find the wandb-core that belongs to the wandb which a command will import; None when there is none.

    Client and core must be one version. So the wandb beside the command itself is looked at first
    (`<prefix>/bin/python`, `<prefix>/bin/accelerate`), then the one beside the `python` of the search path, which is
    what `/usr/bin/env python` and a shell script come to.

    Parameters
    ----------
    arguments
        The command; only its first word is looked at.
    search_path
        The PATH that the command will have.
    """
    for program in (arguments[0], "python", "python3"):
        found = shutil.which(program, path=search_path)
        if found is None:
            continue
        # Not resolved: a virtual environment's python is a link to one that has other packages.
        prefix = Path(found).absolute().parent.parent
        for binary in sorted(prefix.glob("lib/python3*/site-packages/wandb/bin/wandb-core")):
            packages = binary.parents[2]
            versions = [folder.name.split("-")[1] for folder in packages.glob("wandb-*.dist-info")]
            return InstalledCore(binary, versions[0].removesuffix(".dist") if versions else None)
    return None


class Core:
    """A running wandb-core and the way to reach it."""

    def __init__(self, process: subprocess.Popen[bytes], address: str | int) -> None:
        self.process = process
        self._address = address

    @classmethod
    def start(
        cls, binary: Path, folder: Path, environment: Mapping[str, str], errors: int, workdir: Path | None = None
    ) -> Core:
        """Start `binary` in a session of its own and wait until it can be reached.

        Parameters
        ----------
        binary
            The wandb-core of the training environment.
        folder
            Node-local, with a short name (a Unix socket's path has at most 107 bytes); for its socket.
        environment
            The variables it gets, TMPDIR excepted.
        errors
            The file descriptor for what it says on stderr (nothing, unless it crashes).
        workdir
            Where it runs; None is where this process does. A client may give it a path that is relative to its own
            working directory (`dir="."` in `wandb.init`), and would lose the run's records elsewhere.

        Raises
        ------
        LaunchError
            When it ends, or is not there within `START_SECONDS`.
        """
        port_file = folder / f"port-{time.monotonic_ns()}"
        cache = {} if _logs_at_home(environment) else {"WANDB_CACHE_DIR": str(folder)}
        # --pid: it ends itself, within 0.1 s, when this process is gone, so that nothing is left behind for ever.
        process = subprocess.Popen(
            [binary, "--no-observability", "--port-filename", port_file, "--pid", str(os.getpid())],
            cwd=workdir,
            env={**environment, **cache, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            # It prints a footer that asks for `wandb sync`, which is not what our user should do.
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            address = _read_port_file(port_file)
            if address is not None:
                port_file.unlink()
                return cls(process, address)
            if process.poll() is not None:
                message = (
                    f"{binary}: found it ended with exit code {process.returncode}, expected it to wait for connections"
                )
                raise LaunchError(message)
            time.sleep(0.002)
        process.kill()
        process.wait()
        message = f"{binary}: found no answer within {START_SECONDS:.0f} s, expected one"
        raise LaunchError(message)

    def connect(self) -> socket.socket:
        """Open a connection as a wandb client does.

        Raises
        ------
        OSError
            When it is no longer there.
        """
        if isinstance(self._address, int):
            return socket.create_connection(("localhost", self._address))
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self._address)
        except BaseException:
            connection.close()
            raise
        return connection

    def finish(self, exit_code: int, seconds: float, connection: socket.socket | None = None) -> bool:
        """Make wandb-core finish every open run with `exit_code` and end; return whether all was written.

        A run that its own process has finished keeps the exit code it ended with. After `seconds` it is killed.

        Parameters
        ----------
        connection
            One that the client used, so that the request comes after all that the client sent. On another one it
            would overtake what has not been read yet.
        """
        # OSError: it has ended already.
        with suppress(OSError), connection or self.connect() as sending:
            sending.sendall(framed(teardown_request(exit_code)))
            # Not closed before it has ended: to a closed connection it could not answer.
            return self._wait(seconds)
        return self._wait(seconds)

    def _wait(self, seconds: float) -> bool:
        try:
            return self.process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return False


def _logs_at_home(environment: Mapping[str, str]) -> bool:
    """Whether wandb-core is to write its own logs to where it does by default: two files for each run (0.31).

    Not offline, when it caches nothing there either: a home folder is on a shared filesystem that counts files. And not
    where it cannot: it would write them to stderr.
    """
    if environment.get("WANDB_MODE") == OFFLINE and not environment.get("WANDB_CACHE_DIR"):
        return False
    home_cache = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/"), ".cache")
    folder = Path(environment.get("WANDB_CACHE_DIR") or home_cache, "wandb", "logs")
    with suppress(OSError):
        # On some sites the home folder is read-only in a job.
        folder.mkdir(parents=True, exist_ok=True)
    return os.access(folder, os.W_OK)


def _read_port_file(port_file: Path) -> str | int | None:
    # Lines unix=<path> and sock=<port>, whichever it could open, and EOF at the end.
    try:
        lines = port_file.read_text().splitlines()
    except FileNotFoundError:
        return None
    if lines[-1:] != ["EOF"]:
        return None
    found = dict(line.split("=", 1) for line in lines[:-1])
    return found["unix"] if "unix" in found else int(found["sock"])

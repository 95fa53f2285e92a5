"""Listen at the address in WANDB_SERVICE, where a training process looks for a wandb-core that is already running.

The process that listens there is not wandb-core itself. Each process that connects is given a wandb-core of its own, as
it would have started one by itself, and a forked child that goes on with its parent's run is given its parent's: one
wandb-core refuses a run id that it has open already (0.27.2 and 0.31.0 raise an error in the second `wandb.init`,
0.22.3 hangs in it), and ranks may share an id that their script gives. The same socket gives out the ids of W&B runs
(`runferry.trackers.wandb.hook` asks).
"""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import LaunchError
from runferry.system.processes import with_ancestors
from runferry.system.temporary_folders import OwnedFolder
from runferry.trackers.wandb.conversation import Conversation
from runferry.trackers.wandb.core import Core, InstalledCore
from runferry.trackers.wandb.hook import ANSWER_SECONDS, MAGIC
from runferry.trackers.wandb.hook_files import write_hook
from runferry.trackers.wandb.owned_core import OwnedCore
from runferry.trackers.wandb.wire import joins_a_run, length_of_whole_messages, read_message, service_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.trackers.wandb.job_runs import JobRuns

#: Bytes. A Unix socket's path has at most 107, of which `/runferry_<8>/wandb-<pid>-<pid>-<10 digits>/socket` takes 58.
_LONGEST_PARENT = 49


class Service:
    """Listens, starts a wandb-core for each process, and carries the messages between the two.

    Attributes
    ----------
    token
        What WANDB_SERVICE must be; None where the hook has to find the wandb-core.
    python
        The folder that must be the first in the command's PYTHONPATH.
    command
        Process id of the command, once it is known.
    """

    def __init__(  # noqa: PLR0913 - what `Keeper.start` was given
        self,
        installed: InstalledCore | None,
        environment: Mapping[str, str],
        log: int,
        finish_seconds: float,
        runs: JobRuns,
        *,
        workdir: Path | None = None,
    ) -> None:
        """Start to listen, and the first wandb-core: if it cannot, the command can still start one by itself.

        Parameters
        ----------
        installed
            The wandb-core of the training environment; None where none was found by the command and its PATH.
        environment
            The variables for it.
        log
            The file descriptor of train.log.
        finish_seconds
            How long a wandb-core may take to write what it holds, when its process has gone before the command.
        runs
            Of the attempt.
        workdir
            Where the command runs.

        Raises
        ------
        LaunchError, OSError
            When wandb-core does not come up.
        """
        self.command: int | None = None
        self._installed = installed
        self._environment = environment
        self._log = log
        self._workdir = workdir
        self._finish_seconds = finish_seconds
        self._runs = runs
        # Guards the four below it.
        self._changed = threading.Condition()
        self._owned: list[OwnedCore] = []
        self._carrying = 0
        self._ending = False
        self._spare: Core | None = None
        self._temporary = _short_folder()
        self._folder = self._temporary.path
        try:
            self._spare = self._start_core() if installed else None
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self._folder / "service"))
            self._listener.listen(64)
            self._address = self._listener.getsockname()
            self.token = service_token(self._address) if installed else None
            told = (self.token, installed.binary) if self.token and installed else None
            self.python = write_hook(self._folder, environment, self._address, told)
        except BaseException:
            self._temporary.remove()
            raise
        threading.Thread(target=self._accept, daemon=True).start()

    def finish(self, exit_code: int, seconds: float) -> bool:
        """Make every wandb-core finish its runs with `exit_code` and end; return whether all did within `seconds`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._ending = True
            # What a killed process had sent is still being carried. All its connections are closed by now; one that
            # stays open belongs to a process that has left the command's session.
            self._changed.wait_for(lambda: self._carrying == 0, timeout=min(5.0, seconds / 2))
            cores = [(owned.core, owned.last) for owned in self._owned if not owned.ended_by]
            threads = [owned.ended_by for owned in self._owned if owned.ended_by]
            if self._spare:
                cores.append((self._spare, None))
        results: list[bool] = []

        def finish(core: Core, connection: socket.socket | None) -> None:
            results.append(core.finish(exit_code, max(0.1, deadline - time.monotonic()), connection))

        for core in cores:
            threads.append(threading.Thread(target=finish, args=core))
            threads[-1].start()
        for thread in threads:
            thread.join(max(1.0, deadline - time.monotonic()))
        self._temporary.remove()
        return len(results) == len(cores) and all(results) and not any(thread.is_alive() for thread in threads)

    def _start_core(self) -> Core:
        if not self._installed:
            found = "wandb-core: found no process that has asked for it, expected one before it is started"
            raise LaunchError(f"{found}; this is a defect of runferry, please report it")
        return Core.start(self._installed.binary, self._folder, self._environment, self._log, self._workdir)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with self._changed:
                self._carrying += 1
            threading.Thread(target=self._carry_client, args=(client,), daemon=True).start()

    def _carry_client(self, client: socket.socket) -> None:
        owned: OwnedCore | None = None
        upstream: socket.socket | None = None
        try:
            with client:
                pid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
                if client.recv(1, socket.MSG_PEEK) == MAGIC:
                    self._answer(client, pid)
                    return
                # It tells whether the client goes on with a run of its parent's.
                first = read_message(client)
                if first is not None:
                    owned = self._core_for(pid, joins=joins_a_run(first))
                    upstream = owned.core.connect()
                    heard = Conversation(self._runs)
                    threading.Thread(target=self._carry_back, args=(upstream, client, heard), daemon=True).start()
                    heard.heard(first)
                    upstream.sendall(first)
                    _carry(client, upstream, heard)
        except (OSError, ValueError, LaunchError) as error:
            # The client sees its connection closed, as when its own wandb-core dies.
            os.write(self._log, f"runferry: wandb-core: {error}\n".encode())
        finally:
            # First of all: in a moment it will be gone.
            exit_code = owned.owners_exit_code() if owned else None
            with self._changed:
                self._carrying -= 1
                if owned:
                    owned.connections -= 1
                if owned and upstream:
                    # Kept open, because 0.22.3 never closes its side, to send on it that the run is to be ended.
                    upstream, owned.last = owned.last, upstream
                self._changed.notify_all()
            if upstream:
                # Not closed: _carry_back still reads from it.
                with suppress(OSError):
                    upstream.shutdown(socket.SHUT_WR)
        if owned and exit_code is not None:
            self._end_before_the_command(owned, exit_code)

    def _answer(self, client: socket.socket, pid: int) -> None:
        """Answer the hook of a process, which asks for a wandb-core or for the id of a W&B run."""
        client.settimeout(ANSWER_SECONDS)
        with client.makefile("rwb") as lines:
            asked = json.loads(lines.readline()[1:])
            answer = self._core_asked(Path(asked["core"])) if "core" in asked else self._runs.ids.answer(asked, pid)
            lines.write(json.dumps(answer).encode() + b"\n")

    def _core_asked(self, binary: Path) -> dict[str, str | None]:
        """Return the value of WANDB_SERVICE for a client of a wandb-core; None for another than the first one's."""
        with self._changed:
            if self._installed is None and binary.is_file():
                self._installed = InstalledCore(binary, None)
                with suppress(LaunchError, OSError):
                    self._spare = self._start_core()
                    self.token = service_token(self._address)
            same = self._installed is not None and binary.is_file() and self._installed.binary.samefile(binary)
            return {"token": self.token if same else None}

    def _carry_back(self, upstream: socket.socket, client: socket.socket, heard: Conversation) -> None:
        """Carry what a wandb-core answers, until it closes; a client that has gone does not stop it from answering."""
        with suppress(OSError), upstream:
            while (message := read_message(upstream)) is not None:
                with suppress(OSError):
                    client.sendall(heard.amended(message))
        # The client must not go on writing.
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _core_for(self, pid: int, *, joins: bool) -> OwnedCore:
        """Give a process its wandb-core, or that of the nearest process above it when it joins a run."""
        with self._changed:
            for candidate in with_ancestors(pid) if joins else [pid]:
                for owned in self._owned:
                    if owned.owner == candidate and not owned.ended_by and owned.owner_is_alive():
                        owned.connections += 1
                        return owned
            if self._ending:
                message = "wandb-core: found the launcher about to end, expected no new connection"
                raise LaunchError(message)
            if self._spare is None:
                self._spare = self._start_core()
            owned = OwnedCore(self._spare, pid)
            self._spare = None
            self._owned.append(owned)
            return owned

    def _end_before_the_command(self, owned: OwnedCore, exit_code: int) -> None:
        """End the wandb-core of a process that has ended with `exit_code`, unless it was the command itself.

        Where the exit code could not be known, the runs that the process left open are ended with the command's.
        """
        with self._changed:
            if owned.connections or owned.ended_by or self._ending or owned.owner == self.command:
                return
            owned.ended_by = threading.current_thread()
        owned.core.finish(exit_code, self._finish_seconds, owned.last)


def _carry(client: socket.socket, upstream: socket.socket, heard: Conversation) -> None:
    """Carry the whole messages that a client sends, until it closes.

    A client that is killed may leave half a message, and what is sent after it, to end the run, would be taken for
    the other half.
    """
    waiting = bytearray()
    with suppress(ConnectionResetError):
        while part := client.recv(1 << 16):
            waiting += part
            asking: list[bytes] = []
            whole = length_of_whole_messages(waiting, asking, heard.published)
            for message in asking:
                heard.heard(message)
            upstream.sendall(waiting[:whole])
            del waiting[:whole]


def _short_folder() -> OwnedFolder:
    for parent in (tempfile.gettempdir(), "/tmp", "/dev/shm"):
        if len(os.fsencode(parent)) <= _LONGEST_PARENT:
            with suppress(OSError):
                return OwnedFolder.make(parent)
    return OwnedFolder.make()

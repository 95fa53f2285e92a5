"""A real sshd on loopback, with keys of its own, and a TCP line to it that can be cut."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import struct
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))

AUTOMATION = """#!/bin/sh
# Allows what allowed_commands.sh of the Alliance's automation nodes allows: a command is known by how it begins and is
# run without a shell, so that no quote, ~ or $ means anything in it; a refusal is a line on stdout and no failure.
case "$SSH_ORIGINAL_COMMAND" in
  ls*|cat*|cd*|echo*|uname*|id*|groups*|mv*|cp*|rm*|mkdir*|python*|git*|tar*|dar*|gzip*|zip*|bzip2*|rsync*|scp*|\\
  /usr/libexec/openssh/sftp-server*|squeue*|scancel*|sbatch*|scontrol*|sq*) exec $SSH_ORIGINAL_COMMAND ;;
  *) echo "Command rejected by allowed_commands.sh: $SSH_ORIGINAL_COMMAND" ;;
esac
"""


@dataclass(frozen=True)
class SshServer:
    """A running sshd.

    Attributes
    ----------
    folder
        Of its keys and files.
    port
        On loopback.
    """

    folder: Path
    port: int

    def client(self, name: str, options: str = "", *lines: str) -> str:
        """Make a key that may log in with `options` of authorized_keys; return the value of `--ssh` that uses it.

        Parameters
        ----------
        name
            Of the key.
        options
            What stands before it in authorized_keys.
        lines
            Of the client's configuration of the host `site`.
        """
        key = _new_key(self.folder / name)
        with (self.folder / "authorized_keys").open("a") as file:
            file.write(f"{options} {key.with_suffix('.pub').read_text()}")
        config = self.folder / f"{name}.config"
        host = f"HostName 127.0.0.1\nUser {getpass.getuser()}\nPort {self.port}\nHostKeyAlias sshd\n"
        keys = f"IdentityFile {key}\nIdentitiesOnly yes\nUserKnownHostsFile {self.folder}/known_hosts\n"
        config.write_text("\n".join(["Host site", *lines, "Host site jump", host + keys]))
        return f"ssh -F {config}"


@contextmanager
def ssh_server(folder: Path, **variables: str) -> Iterator[SshServer]:
    """Run an sshd whose logins get these variables, besides what a login of this machine has."""
    assert SSHD, "found no sshd; type: apt-get install openssh-server"
    folder.mkdir(mode=0o700)
    (folder / "authorized_keys").touch(mode=0o600)
    host_key = _new_key(folder / "host_key")
    (folder / "known_hosts").write_text(f"sshd {host_key.with_suffix('.pub').read_text()}")
    if os.geteuid() == 0:
        # Where root's sshd puts what has no rights.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = _free_port()
    set_variables = " ".join(f'"{name}={value}"' for name, value in variables.items())
    config = folder / "sshd_config"
    config.write_text(f"""
        ListenAddress 127.0.0.1:{port}
        HostKey {host_key}
        AuthorizedKeysFile {folder}/authorized_keys
        # The folder lies below /tmp, which everybody may write to.
        StrictModes no
        PidFile none
        UsePAM no
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        SetEnv {set_variables}
    """)
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([SSHD, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stderr=log) as process,
    ):
        try:
            _wait_for(port, process, folder)
            yield SshServer(folder, port)
        finally:
            process.terminate()


@contextmanager
def cut_tcp(port: int, cuts: Sequence[int]) -> Iterator[int]:
    """Listen on another port that leads to this one; the first connections are reset, each after so many bytes."""
    left, resets = list(cuts), list[int]()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    far = socket.create_connection(("127.0.0.1", port))
                    line = _TcpLine(near, far, left.pop(0) if left else None, resets)
                    for pair in ((near, far), (far, near)):
                        threading.Thread(target=line.pump, args=pair, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    assert len(resets) == len(cuts), f"found {len(resets)} connections cut, expected {len(cuts)}"


class _TcpLine:
    def __init__(self, near: socket.socket, far: socket.socket, limit: int | None, resets: list[int]) -> None:
        self._ends, self._left, self._resets, self._lock = (near, far), limit, resets, threading.Lock()

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 14):
                with self._lock:
                    if self._left is not None:
                        self._left -= len(data)
                        if self._left < 0:
                            self._reset()
                            # What the other direction still reads is not passed on either.
                            self._left = None
                            return
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _reset(self) -> None:
        self._resets.append(1)
        for end in self._ends:
            # Closed so, neither side hears a farewell.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The other thread waits in recv, which keeps the socket open.
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD)
            end.close()


def _new_key(file: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    return file


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
    raise AssertionError((folder / "log").read_text())

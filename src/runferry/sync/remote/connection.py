"""Connect to a site over ssh, and ask what `runferry serve-results` answers there."""

from __future__ import annotations

import shlex
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from runferry.errors import ConfigError, RunferryError
from runferry.sync.remote.frames import GREETING, Line, LineError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_LINES_BEFORE = 1000
"""That a shell's start-up files may print before the greeting."""
_END_SECONDS = 5.0
_OPTIONS = ("-T", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
"""No terminal, whose driver would change bytes; and a line that is dead ends."""
_BUSY_SECONDS = 5.0
_NO_CONNECTION, _NO_SUCH_COMMAND = 255, 127
"""Exit codes of ssh, and of a shell."""


class SiteError(RunferryError):
    """Raised when the site's side refuses what it is asked for."""


@dataclass(frozen=True)
class Site:
    """Where results lie, and how to get there.

    Attributes
    ----------
    host
        As ssh takes it: `narval`, `me@robot.narval.alliancecan.ca`.
    folder
        The results folder there; below the home folder where it does not begin with `/`.
    program
        What starts runferry there, as a shell takes it.
    ssh
        The program and options that connect.
    """

    host: str
    folder: str
    program: str = "runferry"
    ssh: tuple[str, ...] = ("ssh",)

    def remote_command(self) -> str:
        """Return what the site's shell is to run."""
        return f"{self.program} serve-results {shlex.quote(self.folder)}"

    def command(self) -> list[str]:
        """Return the command that starts the site's side and connects its stdin and stdout."""
        return [*self.ssh, *_OPTIONS, "--", self.host, self.remote_command()]


def parse_site(text: str, *, program: str, ssh: str) -> Site:
    """Read `HOST:FOLDER`.

    Raises
    ------
    ConfigError
        When it is none.
    """
    host, colon, folder = text.partition(":")
    folder = folder.removeprefix("~/")
    if not (colon and host and folder) or host.startswith("-") or folder.startswith("-"):
        message = f"found {text!r}, expected a host and its folder of results, as in narval:/scratch/me/thesis/results"
        raise ConfigError(f"{message}; run: runferry pull HOST:FOLDER")
    return Site(host, folder, program, tuple(shlex.split(ssh)))


@contextmanager
def connected(site: Site) -> Generator[Line]:
    """Connect to a site; yield the line once its side has answered.

    Raises
    ------
    LineError
        When it does not.
    """
    process = subprocess.Popen(site.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    line = Line(process.stdout.fileno(), process.stdin.fileno())
    try:
        _read_greeting(line, site, process)
        yield line
    finally:
        with suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(line: Line, header: dict[str, Any], body: bytes = b"") -> dict[str, Any]:
    """Send a request and return the header of its answer.

    Raises
    ------
    LineError
        When the line ends.
    SiteError
        When the site refuses it.
    """
    line.send(header, body)
    return checked(line.receive()[0])


def checked(header: dict[str, Any]) -> dict[str, Any]:
    """Return an answer's header; raises `SiteError` where it is a refusal."""
    if "error" in header:
        raise SiteError(f"the site: found that it answers: {header['error']}; expected what it was asked for")
    return header


def take_hold(line: Line, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait until no other sync works on the site's results, and keep others away until the line ends."""
    said = False
    while "busy" in ask(line, {"op": "hold"}):
        if not said:
            say("waiting for another sync of these results to end, at the site or from another machine")
            said = True
        sleep(_BUSY_SECONDS)


def _read_greeting(line: Line, site: Site, process: subprocess.Popen[bytes]) -> None:
    printed = ""
    for _ in range(_LINES_BEFORE):
        try:
            said = line.read_line()
            if said + b"\n" == GREETING:
                checked(line.receive()[0])
                return
            printed = said.decode(errors="replace").strip() or printed
        except LineError as error:
            _raise_no_answer(site, process, printed, error)
    found = f"{site.host}: found {_LINES_BEFORE} lines that the login shell prints, expected runferry serve-results"
    raise LineError(f"{found}; make its start-up files (~/.bashrc) print nothing when ssh runs a command")


def _raise_no_answer(site: Site, process: subprocess.Popen[bytes], printed: str, error: LineError) -> NoReturn:
    """Raise an error that says what was found in place of an answer, and what to do."""
    code = None
    with suppress(subprocess.TimeoutExpired):
        code = process.wait(_END_SECONDS)
    asked = f"{site.host}: asked for runferry serve-results,"
    if "serve-results" in printed:
        # A wrapper that a key is tied to repeats what it refuses, as on the Alliance's automation nodes.
        message = f"{asked} found {printed[:300]!r}, expected its answer"
        command = f'command="/full/path/of/{site.remote_command()}"'
        raise LineError(f"{message}; give the key {command} instead of what refuses it") from None
    if code == _NO_CONNECTION:
        message = f"{asked} found that ssh does not connect and says why above, expected its answer"
        raise LineError(f"{message}; try {shlex.join([*site.ssh, site.host])}") from None
    if code == _NO_SUCH_COMMAND:
        raise LineError(
            f"{asked} found no {site.program} there, expected its answer; --program says where it is"
        ) from None
    message = f"{asked} found an end with exit code {code} ({error}), expected its answer"
    raise LineError(f"{message}; see what it says above, and whether --program is a runferry of this version") from None

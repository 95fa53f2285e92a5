"""A stand-in for ssh: runs the command of a "host" on this machine, counts bytes, and cuts the line where it is told.

It is told by files in its folder: `cuts.json` has for each connection in turn after how many bytes, or after how many
seconds, it is cut (`{"bytes": 900}`, `{"seconds": 0.7}`, null for not at all); connections after the last are
whole. `bytes.txt` gets a line for each connection: bytes to the site, bytes from it. `variables.json` are the only
variables that the site's side gets, as of a login: none of the caller's, so no key.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

CUT = 255
"""ssh's exit code of a line that broke."""


def make_line(folder: Path, variables: dict[str, str], cuts: Sequence[dict[str, float] | None] = ()) -> str:
    """Write the folder of a line; return the value of `--ssh` that uses it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "variables.json").write_text(json.dumps(variables))
    (folder / "cuts.json").write_text(json.dumps(list(cuts)))
    return f"{sys.executable} {Path(__file__).resolve()} {folder}"


def bytes_moved(folder: Path) -> tuple[int, int]:
    """Return how many bytes went to the site and came from it, of all connections."""
    lines = [line.split() for line in (folder / "bytes.txt").read_text().splitlines()]
    return sum(int(line[0]) for line in lines), sum(int(line[1]) for line in lines)


def connections(folder: Path) -> int:
    """Return how many connections were made."""
    return len((folder / "bytes.txt").read_text().splitlines())


def _next_cut(folder: Path) -> dict[str, float]:
    file = folder / "cuts.json"
    cuts: list[Any] = json.loads(file.read_text())
    file.write_text(json.dumps(cuts[1:]))
    return (cuts[0] if cuts else None) or {}


class _Relay:
    """Passes bytes on between this process's pipes and a child's."""

    def __init__(self, child: subprocess.Popen[bytes], cut: dict[str, float]) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._stdin, self._stdout = child.stdin, child.stdout
        self._left = int(cut.get("bytes", 1e15))
        self._end = time.monotonic() + cut.get("seconds", 1e9)
        self.to_site = self.from_site = 0

    def run(self) -> int:
        """Pass on until the child has said all; return ssh's exit code."""
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(self._stdout, selectors.EVENT_READ)
            while time.monotonic() < self._end:
                for key, _ in selector.select(0.05):
                    data = os.read(key.fd, 4096)
                    if data and not self._pass_on(key.fd, data):
                        return CUT
                    if not data:
                        selector.unregister(key.fileobj)
                        if key.fd != 0:
                            return 0
                        self._stdin.close()
        return CUT

    def _pass_on(self, source: int, data: bytes) -> bool:
        passed = data[: self._left]
        self._left -= len(passed)
        if source == 0:
            self.to_site += len(passed)
            _write(self._stdin.fileno(), passed)
        else:
            self.from_site += len(passed)
            _write(1, passed)
        return len(passed) == len(data)

    def close(self) -> None:
        """Close the child's pipes, as a line that is cut does."""
        if not self._stdin.closed:
            self._stdin.close()
        self._stdout.close()


def main() -> int:
    """Run the command behind `-- HOST` and pass bytes on until it ends or the line is cut."""
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    command = words[words.index("--") + 2]
    cut = _next_cut(folder)
    variables = json.loads((folder / "variables.json").read_text())
    child = subprocess.Popen(
        ["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, cwd=folder
    )
    relay = _Relay(child, cut)
    code = relay.run()
    with (folder / "bytes.txt").open("a") as file:
        file.write(f"{relay.to_site} {relay.from_site}\n")
    relay.close()
    child.wait(60)
    return code


def _write(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())

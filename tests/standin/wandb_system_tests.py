"""Run W&B's own system tests, in a checkout of their repository, against the stand-in: see README.md beside this file.

    python tests/standin/wandb_system_tests.py CHECKOUT COMMAND...

The stand-in takes the place of the container that these tests expect (`tools/local_wandb_server.py` of the checkout is
told of it), and this file that container's service for users and teams.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from runferry_standin import StandIn, running

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "wandb-local-testcontainer"


class Users:
    """Does what a test asks of the container's service: users whose name is their key, and teams."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self._teams: dict[str, list[str]] = defaultdict(list)

    def do(self, kind: str, wanted: dict[str, Any]) -> None:
        """Carry out a command; those that delete are left out, since every test has a user of its own."""
        name = wanted.get("username")
        if wanted.get("command") != "up" or name is None:
            return
        if kind == "team":
            self._teams[name].append(wanted["fixtureData"]["team"]["name"])
        if kind in ("user", "team"):
            self._standin.add_user(name, name, self._teams[name])


def service(standin: StandIn) -> ThreadingHTTPServer:
    """Return the service for users, to be served."""
    users = Users(standin)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                users.do(self.path.rpartition("/")[2], wanted)
            self._answer()

        def _answer(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def main(checkout: str, command: Sequence[str]) -> int:
    """Run a command in the checkout with the stand-in as its server, and return its exit code."""
    with running() as standin, service(standin) as users:
        threading.Thread(target=users.serve_forever, daemon=True).start()
        ports = ["--base-port", standin.url.rpartition(":")[2], "--fixture-port", str(users.server_port)]
        tool = ["python", "tools/local_wandb_server.py"]
        # The variables of a client of one's own would be the tests' too.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        start = [*tool, "start", "--name", NAME, "--hostname", "localhost", *ports]
        subprocess.run(start, cwd=checkout, env=environment, check=True)
        try:
            return subprocess.run(command, cwd=checkout, env=environment, check=False).returncode
        finally:
            subprocess.run([*tool, "stop", "--name", NAME], cwd=checkout, env=environment, check=True)
            users.shutdown()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python wandb_system_tests.py CHECKOUT COMMAND...")
    sys.exit(main(sys.argv[1], sys.argv[2:]))

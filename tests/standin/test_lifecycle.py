"""Starting and stopping the stand-in; `python -m runferry_standin`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from runferry.errors import ConfigError
from runferry_standin import DEMO_KEY, running, running_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STANDIN = [sys.executable, "-m", "runferry_standin"]

UPSERT = 'mutation { upsertBucket(input: {name: "a", modelName: "p"}) { inserted } }'
HISTORY = {"files": {"wandb-history.jsonl": {"offset": 0, "content": ['{"_step": 0}', '{"_step": 1}']}}}

CHECK_ENVIRONMENT = """
import os, sys, urllib.request
print(os.environ["WANDB_API_KEY"])
print(urllib.request.urlopen(os.environ["WANDB_BASE_URL"]).status)
sys.exit(7)
"""

REPORT_SIGNALS = """
import os, signal, sys, time
received = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: received.append(signal.Signals(number).name))
print(os.getpgrp(), flush=True)
while not received:
    time.sleep(0.01)
time.sleep(0.3)
print(",".join(received), flush=True)
sys.exit(5)
"""


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}


def call(*arguments: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*STANDIN, *arguments],
        cwd=cwd,
        env=environment() | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes; those that a failing test leaves are stopped."""
    started: list[subprocess.Popen[str]] = []

    def popen(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        command = [*STANDIN, *arguments]
        started.append(subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True, **options))
        return started[-1]

    yield popen
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(10)


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "folder" / "server.sqlite"
    with running_process(data=data) as server:
        server.graphql(UPSERT)
        server.ask("POST", "/files/demo/p/a/file_stream", HISTORY)
        server.kill()

    with running_process(data=data) as server:
        assert [row["_step"] for row in server.run("demo", "p", "a")["history"]] == [0, 1]


def test_a_file_keeps_everything_from_one_start_to_the_next(tmp_path: Path) -> None:
    data = tmp_path / "server.sqlite"
    with running(data=data) as server:
        server.graphql(UPSERT)
    with running(data=data) as server:
        assert server.runs("demo", "p") == ["a"]
        assert server.graphql(UPSERT)["data"]["upsertBucket"]["inserted"] is False


def test_two_servers_never_share_a_file(tmp_path: Path) -> None:
    data = tmp_path / "server.sqlite"
    with (
        running(data=data),
        pytest.raises(ConfigError, match=r"server\.sqlite: database is locked; expected a data file"),
        running(data=data),
    ):
        pass


def test_another_program_s_file_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "notes.txt"
    data.write_text("my notes\n" * 100)

    with pytest.raises(ConfigError, match=r"notes\.txt: file is not a database"), running(data=data):
        pass

    assert data.read_text() == "my notes\n" * 100


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_only_loopback_is_served(host: str) -> None:
    done = call("--host", host, "--port", "0", "--data", ":memory:")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"runferry_standin: --host {host}: the stand-in binds to loopback only; expected 127.0.0.1, ::1 or localhost"
    ]


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = call("--port", str(port), "--data", ":memory:")

    assert done.returncode == 2
    assert done.stderr.startswith(f"runferry_standin: --port {port}: cannot listen there")
    assert len(done.stderr.splitlines()) == 1


def test_a_key_that_clients_would_refuse_is_refused() -> None:
    done = call("--key", "short", "--data", ":memory:")

    assert done.returncode == 2
    assert "the key has 5 characters; expected at least 40" in done.stderr


def test_the_help_says_what_it_is_and_what_it_is_not() -> None:
    done = call("--help")

    assert done.returncode == 0
    assert "It is not W&B's server" in done.stdout.replace("\n", " ")
    assert "loopback only" in done.stdout
    assert DEMO_KEY in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_stops_cleanly_on_a_signal(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    process = start("--port", "0", cwd=tmp_path, stderr=subprocess.PIPE)
    assert process.stdout is not None
    said = "".join(process.stdout.readline() for _ in range(4))
    address = re.search(r"export WANDB_BASE_URL=(http://127\.0\.0\.1:\d+)\n", said)
    assert address is not None
    assert f"export WANDB_API_KEY={DEMO_KEY}" in said
    with urllib.request.urlopen(address[1]) as answer:
        assert answer.status == 200

    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")
    assert (tmp_path / ".standin" / "server.sqlite").exists()


def test_a_key_of_one_s_own_is_not_shown(tmp_path: Path) -> None:
    key = "f" * 40

    done = call("--port", "0", "--data", ":memory:", "--", "true", cwd=tmp_path, WANDB_API_KEY=key)

    assert done.returncode == 0
    assert key not in done.stdout + done.stderr


def test_a_command_runs_with_the_server_and_its_exit_code_is_the_exit_code() -> None:
    done = call("--port", "0", "--data", ":memory:", "--", sys.executable, "-c", CHECK_ENVIRONMENT)

    assert done.returncode == 7
    assert done.stdout == f"{DEMO_KEY}\n200\n"
    assert "W&B stand-in at http://127.0.0.1:" in done.stderr


def test_a_command_s_arguments_reach_it_unchanged() -> None:
    arguments = ["a b", "$(echo no)", "'", "--port", "é\n"]
    command = [sys.executable, "-c", "import sys; print(sys.argv[1:])", *arguments]

    done = call("--port", "0", "--data", ":memory:", "--", *command)

    assert done.stdout == f"{arguments}\n"


def test_a_command_that_is_killed_gives_what_a_shell_gives() -> None:
    command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]

    assert call("--port", "0", "--data", ":memory:", "--", *command).returncode == 128 + 9


def test_a_command_that_is_not_there_is_named() -> None:
    done = call("--port", "0", "--data", ":memory:", "--", "/no/such/command")

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("runferry_standin: /no/such/command: cannot be run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to_group", [False, True], ids=["to the process", "to its group"])
def test_a_command_gets_each_signal_once(
    start: Callable[..., subprocess.Popen[str]], number: signal.Signals, to_group: bool
) -> None:
    command = [sys.executable, "-c", REPORT_SIGNALS]
    options: dict[str, Any] = {"stderr": subprocess.DEVNULL, "start_new_session": True}
    process = start("--port", "0", "--data", ":memory:", "--", *command, **options)
    assert process.stdout is not None
    # Out of the group: two signals that come at the same time can look like one.
    assert int(process.stdout.readline()) != os.getpgid(process.pid)

    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said, _ = process.communicate(timeout=30)

    assert (said, process.returncode) == (f"{number.name}\n", 5)


def test_a_request_that_hangs_does_not_keep_the_server_from_stopping() -> None:
    with running_process() as server:
        server.faults({"match": "page", "hang": True})
        address = server.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1]))) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            _wait_for_a_hanging_request(server.url)
            server.process.terminate()
            assert server.process.wait(timeout=30) == 0


def _wait_for_a_hanging_request(url: str) -> None:
    end = time.monotonic() + 10
    while b'"used":0' in urllib.request.urlopen(f"{url}/standin/faults").read():
        assert time.monotonic() < end
        time.sleep(0.01)

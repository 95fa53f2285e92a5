"""The watched screen."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runferry.report.status.screen import cut
from support.sample_experiment import write_attempt
from support.shown_status import (
    _no_slurm,  # noqa: F401 - a fixture
    run_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def test_a_line_that_is_too_long_for_the_terminal_is_cut_without_its_colours_counting() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("\x1b[31mabc\x1b[0m", 3) == "\x1b[31mabc\x1b[0m"
    assert cut("\x1b[31mabcd\x1b[0m", 3) == "\x1b[31mab…\x1b[0m"


@pytest.fixture
def _with_sigint() -> Iterator[None]:
    """Let what is started get a SIGINT, which a shell's background job inherits as ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_with_sigint")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_watched_screen_is_refreshed_in_place_and_the_terminal_given_back(
    number: signal.Signals, experiment: Path
) -> None:
    run_of(experiment, "a", None)
    master, slave = os.openpty()
    words = [sys.executable, "-m", "runferry", "status", "--watch", "--interval=0.2", str(experiment.parent)]
    process = subprocess.Popen(words, stdout=slave, stderr=slave)
    os.close(slave)
    screen = _read_until(master, lambda text: text.count("\x1b[H") >= 2 and "to do" in text)
    write_attempt(experiment / "a", 1, "finished")
    screen += _read_until(master, lambda text: "unsynced" in text.split("\x1b[H")[-1])
    process.send_signal(number)
    rest = _read_until(master, lambda text: text is None)
    assert process.wait(10) == (0 if number == signal.SIGINT else 128 + signal.SIGTERM)
    assert screen.startswith("\x1b[?1049h\x1b[?25l")
    assert "Ctrl-C ends it" in screen
    assert "\x1b[?25h\x1b[?1049l" in rest
    assert ("digits" in rest.split("\x1b[?1049l")[1]) is (number == signal.SIGINT), "what was seen last stays"
    assert "Traceback" not in rest


def _read_until(terminal: int, enough: Callable[[Any], bool]) -> str:
    text = ""
    while not (text and enough(text)):
        assert select.select([terminal], [], [], 60)[0], f"nothing more for a minute after {text!r}"
        try:
            more = os.read(terminal, 65536).decode()
        except OSError:
            # The other side has closed it.
            break
        if not more:
            break
        text += more
    return text


@pytest.mark.usefixtures("_with_sigint")
def test_watching_without_a_terminal_prints_an_object_a_line(experiment: Path) -> None:
    run_of(experiment, "a", None)
    words = [sys.executable, "-m", "runferry", "status", "--watch", "--json", "--interval=0.1", str(experiment.parent)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert [each["states"]["to do"] for each in found] == [1, 1]
    assert process.returncode == 0

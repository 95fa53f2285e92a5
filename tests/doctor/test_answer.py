"""What a site's programs say, and that none keeps a check waiting."""

from __future__ import annotations

import time

import pytest

from runferry.doctor.answer import NoAnswerError, answer_of


def test_a_program_that_hangs_is_waited_for_no_longer_than_said_though_its_child_goes_on(programs):
    programs("slow", "sleep 20 & wait")
    begin = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"slow did not answer within 0\.2 s"):
        answer_of("slow", seconds=0.2)
    assert time.monotonic() - begin < 5


def test_a_program_that_fails_is_quoted(programs):
    programs("broken", "echo output; printf 'one\\ntwo\\n' >&2; exit 3")
    with pytest.raises(NoAnswerError, match=r"broken failed \(exit code 3\) and said: one / two$"):
        answer_of("broken")


def test_what_a_program_prints_on_stderr_is_no_answer_unless_it_is_asked_for(programs):
    programs("chatty", "echo note >&2; echo answer")
    assert answer_of("chatty") == "answer"
    assert answer_of("chatty", errors_too=True) == "answer\nnote"

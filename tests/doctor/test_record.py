"""What is shown and written of an examination."""

from __future__ import annotations

import pytest

from runferry.doctor.finding import Finding
from runferry.doctor.record import DoctorRecord, Redaction, screen_lines
from support.doctored import KEY


def test_nothing_secret_is_shown_whatever_a_program_prints(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "an-odd key")
    monkeypatch.setattr("getpass.getuser", lambda: "jdoe")
    given = f"an-odd key {KEY} local-{KEY} wandb_v1_{'aB3' * 20} http://jdoe:pw@proxy /home/jdoe/x def-jdoe2 jdoes"
    assert Redaction().text(given) == (
        "<removed> <removed> <removed> <removed> http://<removed>@proxy /home/<user>/x def-jdoe2 jdoes"
    )


def test_a_line_says_in_a_word_what_is_not_as_expected():
    found = [Finding("a", "b", "ok", "c"), Finding("a", "d", "differs", "e " * 80, "f", "g")]
    lines = list(screen_lines(found))
    assert lines[0] == "ok       a: b: c"
    assert lines[1].startswith("differs  a: d: e e")
    assert lines[-1].endswith("expected f; -> g")
    assert all(len(line) <= 120 for line in lines)


@pytest.mark.parametrize(("mark", "code"), [("ok", 0), ("info", 0), ("differs", 1), ("problem", 1), ("unknown", 1)])
def test_the_exit_code_is_0_only_where_all_is_as_expected(mark, code, tmp_path):
    assert DoctorRecord("narval", [], None, [Finding("a", "b", mark, "c")], probed=False).exit_code == code

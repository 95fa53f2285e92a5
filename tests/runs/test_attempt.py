"""The records of attempts."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
from pathlib import Path

from runferry.runs.attempt import Attempt, write_trained
from runferry.runs.ending import Ending
from support.attempt_files import attempts_of
from support.launching import make_run, python, run_to_end


def test_where_the_filesystem_has_no_hard_links_a_trained_run_has_a_copy(tmp_path, monkeypatch):
    def refused(_path, _target):
        raise OSError(errno.EPERM, "Operation not permitted")

    folder = make_run(tmp_path / "run", ["true"])
    attempt = Attempt.begin(folder, ["true"])
    monkeypatch.setattr(Path, "hardlink_to", refused)
    attempt.end(Ending(0))
    assert json.loads(folder.trained_file.read_text()) == attempts_of(folder)[0]
    assert not folder.trained_file.samefile(folder.attempts_folder / "1.json")


def test_a_run_that_is_said_to_be_trained_again_is_so_still(tmp_path):
    folder = make_run(tmp_path / "run", ["true"])
    Attempt.begin(folder, ["true"]).end(Ending(0))
    write_trained(folder, folder.attempts()[0])
    assert json.loads(folder.trained_file.read_text())["run"] == "k3j9"
    assert {file.name for file in folder.path.iterdir()} == {"run.json", "attempts", "trained.json"}


def test_attempts_that_begin_at_once_get_numbers_of_their_own(tmp_path):
    folder = make_run(tmp_path / "run", ["true"])
    code = "import sys; sys.stdin.read(); from pathlib import Path; from runferry.runs.attempt import Attempt; "
    code += "from runferry.runs.folder import RunFolder; print(Attempt.begin(RunFolder(Path(sys.argv[1])), []).number)"
    many = [
        subprocess.Popen(python(code, str(folder.path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    numbers = [int(process.communicate("")[0]) for process in many]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert [attempt["attempt"] for attempt in attempts_of(folder)] == [1, 2, 3, 4, 5, 6]


def test_a_number_that_is_taken_is_never_written_over(tmp_path):
    folder = make_run(tmp_path / "run", ["true"])
    first = Attempt.begin(folder, ["a"])
    second = Attempt.begin(folder, ["b"])
    second.end(Ending(1))
    first.end(Ending(0))
    assert [(a["attempt"], a["command"], a["exit_code"]) for a in attempts_of(folder)] == [(1, ["a"], 0), (2, ["b"], 1)]


def test_records_can_be_read_by_the_group(tmp_path):
    folder = make_run(tmp_path / "run", ["true"])
    run_to_end(folder)
    umask = os.umask(0)
    os.umask(umask)
    for file in (folder.attempts_folder / "1.json", folder.log_file, folder.trained_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask

"""The command as a process: how it ends, what it leaves behind."""

from __future__ import annotations

import pytest

from support.attempt_files import attempts_of
from support.launching import is_running, lines, make_run, printed, python, run_to_end


@pytest.mark.parametrize("code", [0, 1, 2, 77, 255])
def test_the_exit_code_is_the_commands_own(tmp_path, code):
    folder = make_run(tmp_path / "run", python(f"raise SystemExit({code})"))
    assert run_to_end(folder)[0] == code
    (attempt,) = attempts_of(folder)
    assert attempt["exit_code"] == code
    assert attempt["signal"] is None
    assert attempt["outcome"] == ("finished" if code == 0 else "failed")
    assert folder.trained_file.exists() == (code == 0)


def test_the_record_says_what_the_command_and_its_children_used(tmp_path):
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'b = b\"x\" * 200_000_000; sum(range(10**7))'])"
    )
    folder = make_run(tmp_path / "run", python(code))
    run_to_end(folder)
    used = attempts_of(folder)[-1]["used"]
    assert used["peak_memory"] > 200_000_000
    assert used["cpu_seconds"] > 0.1


def test_a_failure_is_one_line_with_the_reason_and_the_log(tmp_path):
    folder = make_run(tmp_path / "run", python("raise ValueError('the loss is nan')"))
    _, errors = run_to_end(folder)
    reason = "ValueError: the loss is nan"
    line, *quoted = errors.splitlines()
    assert line == f"runferry: run k3j9 failed with exit code 1: {reason}. Log: {folder.log_file}"
    assert quoted[0] == "    | Traceback (most recent call last):"
    assert quoted[-1] == f"    | {reason}"
    assert attempts_of(folder)[0]["message"] == reason


def test_a_program_that_is_not_there_is_127(tmp_path):
    folder = make_run(tmp_path / "run", ["no-such-program", "x"])
    code, errors = run_to_end(folder)
    assert code == 127
    assert "command not found: no-such-program" in errors
    assert attempts_of(folder)[0]["exit_code"] == 127


def test_a_script_whose_interpreter_is_not_there_is_127(tmp_path):
    script = tmp_path / "train.sh"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    code, errors = run_to_end(make_run(tmp_path / "run", [str(script)]))
    assert code == 127
    assert "the interpreter that its first line names was not found" in errors


def test_a_program_that_may_not_be_run_is_126(tmp_path):
    script = tmp_path / "train.sh"
    script.write_text("#!/bin/sh\n")
    code, errors = run_to_end(make_run(tmp_path / "run", [str(script)]))
    assert code == 126
    assert "cannot be run: Permission denied" in errors


def test_an_argument_that_no_program_can_get_is_126(tmp_path):
    code, errors = run_to_end(make_run(tmp_path / "run", ["true", "a\0b"]))
    assert code == 126
    assert "true: cannot be run: embedded null byte" in errors


def test_a_signal_that_ends_the_command_is_named(tmp_path):
    folder = make_run(tmp_path / "run", python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    code, errors = run_to_end(folder)
    assert code == 128 + 9
    (attempt,) = attempts_of(folder)
    assert (attempt["outcome"], attempt["exit_code"], attempt["signal"]) == ("killed", None, "SIGKILL")
    assert "was killed by SIGKILL: most likely it ran out of memory" in errors
    assert not folder.trained_file.exists()


def test_processes_that_the_command_leaves_behind_are_ended_and_named(tmp_path):
    code = """
import subprocess, sys
child = subprocess.Popen(["sleep", "600"])
print("child", child.pid)
"""
    folder = make_run(tmp_path / "run", python(code))
    code, errors = run_to_end(folder)
    assert code == 0
    child = printed(folder, "child")
    assert not is_running(child)
    said = f"ended what the command left running: process {child} (sleep 600)"
    assert f"runferry: {said}" in lines(folder)
    message = f"{said}; have the script wait for what it starts"
    assert attempts_of(folder)[0]["message"] == message
    assert errors.splitlines() == [f"runferry: run k3j9 finished: {message}. Log: {folder.log_file}"]


def test_a_process_left_behind_that_does_not_heed_sigterm_is_killed(tmp_path):
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    code = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {stubborn!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print("child", child.pid)
"""
    folder = make_run(tmp_path / "run", python(code))
    assert run_to_end(folder, grace_seconds=0.5)[0] == 0
    assert not is_running(printed(folder, "child"))

"""What a command gets from the launcher, and what the launcher leaves in the run's folder."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from launching import KEY, is_running, lines, make_run, run_to_end, start, wait_for_line

from runferry.errors import AnotherAttemptError, ConfigError
from runferry.launch.launch import launch
from runferry.runs.attempt import Attempt, write_trained
from runferry.runs.ending import Ending
from runferry.runs.folder import RunFolder
from runferry.system.files import write_json

PRINT_ARGUMENTS = "import json, sys; print('arguments', json.dumps(sys.argv[1:]))"
PRINT_VARIABLES = "import json, os; print('variables', json.dumps(dict(os.environ)))"

AWKWARD = ["", "two words", "'single'", '"double"', "; exit 3", "$(touch made)", "`touch made`", "a\nb", "\\", "-n",
           "*", "~", "$HOME", "ünïcödé ✓ 日本", "{braces}", "%d", "#"]  # fmt: skip


def printed(folder: RunFolder, what: str):
    return next(json.loads(line.removeprefix(what)) for line in lines(folder) if line.startswith(what))


def job_variables(job: str) -> dict[str, str]:
    # With its end, so that no Slurm that may be up on this machine is asked for a job of that number.
    return {"SLURM_JOB_ID": job, "SLURM_JOB_END_TIME": "4102444800"}


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def test_arguments_reach_the_command_unchanged(tmp_path):
    folder = make_run(tmp_path / "run", python(PRINT_ARGUMENTS, *AWKWARD))
    assert run_to_end(folder)[0] == 0
    assert printed(folder, "arguments") == AWKWARD
    assert not list(tmp_path.glob("**/made"))


def test_arguments_do_not_depend_on_the_locale(tmp_path):
    # In bytes, because a command may expect UTF-8 whatever the locale says.
    code = "import os, sys; print('arguments', [list(os.fsencode(word)) for word in sys.argv[1:]])"
    folder = make_run(tmp_path / "run", python(code, "é"))
    assert run_to_end(folder, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})[0] == 0
    assert printed(folder, "arguments") == [list("é".encode())]


def test_the_command_gets_what_wandb_must_know(tmp_path):
    folder = make_run(tmp_path / "run", python(PRINT_VARIABLES))
    assert run_to_end(folder)[0] == 0
    variables = printed(folder, "variables")
    expected = {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(folder.path),
        "WANDB_DATA_DIR": str(folder.path / "wandb-data"),
        "WANDB_RUN_ID": "k3j9",
        "WANDB_RUN_GROUP": "digits",
        "WANDB_PROJECT": "digits",
        "WANDB_NAME": "digits lr=0.1",
        "WANDB_TAGS": "a,b c",
        "WANDB_RESUME": "allow",
        "PYTHONUNBUFFERED": "1",
        "RUNFERRY_RUN": "k3j9",
        "RUNFERRY_RUN_FOLDER": str(folder.path),
        "RUNFERRY_CHECKPOINTS": str(folder.path / "checkpoints"),
    }
    assert {name: variables.get(name) for name in expected} == expected
    assert float(variables["WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL"]) <= 5
    assert "WANDB_SILENT" not in variables


def test_the_folders_that_the_command_is_given_are_there(tmp_path):
    code = "import os; print([os.path.isdir(os.environ[n]) for n in ('RUNFERRY_CHECKPOINTS', 'WANDB_DATA_DIR')])"
    folder = make_run(tmp_path / "run", python(code))
    assert run_to_end(folder)[0] == 0
    assert "[True, True]" in lines(folder)


def test_entity_and_base_url_of_the_run_are_given(tmp_path):
    wandb = {"project": "p", "entity": "team", "group": "g", "tags": [], "mode": "offline", "base_url": "http://here"}
    folder = make_run(tmp_path / "run", python(PRINT_VARIABLES), wandb=wandb)
    run_to_end(folder, {"WANDB_TAGS": "of the shell"})
    variables = printed(folder, "variables")
    assert (variables["WANDB_ENTITY"], variables["WANDB_BASE_URL"]) == ("team", "http://here")
    assert "WANDB_TAGS" not in variables


def test_the_shell_of_the_user_does_not_change_what_the_run_is(tmp_path):
    folder = make_run(tmp_path / "run", python(PRINT_VARIABLES))
    shell = {"WANDB_MODE": "online", "WANDB_RUN_ID": "x", "WANDB_ENTITY": "x", "WANDB_SERVICE": "x", "MY_OWN": "kept"}
    run_to_end(folder, shell)
    variables = printed(folder, "variables")
    assert (variables["WANDB_MODE"], variables["WANDB_RUN_ID"], variables["MY_OWN"]) == ("offline", "k3j9", "kept")
    assert "WANDB_ENTITY" not in variables
    assert variables.get("WANDB_SERVICE") != "x"


def test_the_key_is_nowhere(tmp_path):
    folder = make_run(tmp_path / "run", python(PRINT_VARIABLES))
    code, errors = run_to_end(folder, {"WANDB_API_KEY": KEY})
    assert code == 0
    assert KEY not in errors
    files = [file for file in tmp_path.glob("**/*") if file.is_file()]
    assert folder.log_file in files
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


def test_the_command_runs_in_workdir(tmp_path):
    workdir = tmp_path / "work dir"
    workdir.mkdir()
    folder = make_run(tmp_path / "run", python("import os; print(os.getcwd())"), workdir=str(workdir))
    assert run_to_end(folder)[0] == 0
    assert str(workdir) in lines(folder)


def test_a_relative_folder_is_given_to_the_command_as_an_absolute_one(tmp_path, monkeypatch):
    make_run(tmp_path / "run", python(PRINT_VARIABLES))
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(Path("run"))
    assert run_to_end(folder)[0] == 0
    assert printed(folder, "variables")["WANDB_DIR"] == str(tmp_path / "run")


@pytest.mark.parametrize("code", [0, 1, 2, 77, 255])
def test_the_exit_code_is_the_commands_own(tmp_path, code):
    folder = make_run(tmp_path / "run", python(f"raise SystemExit({code})"))
    assert run_to_end(folder)[0] == code
    (attempt,) = folder.attempts()
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
    used = folder.attempts()[-1]["used"]
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
    assert folder.attempts()[0]["message"] == reason


def test_a_program_that_is_not_there_is_127(tmp_path):
    folder = make_run(tmp_path / "run", ["no-such-program", "x"])
    code, errors = run_to_end(folder)
    assert code == 127
    assert "command not found: no-such-program" in errors
    assert folder.attempts()[0]["exit_code"] == 127


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


def test_the_log_has_all_attempts_one_after_the_other(tmp_path):
    folder = make_run(tmp_path / "run", python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(1)"))
    run_to_end(folder)
    run_to_end(folder)
    text = folder.log_file.read_text()
    headers = re.findall(r"^runferry: attempt (\d) of run k3j9 on \S+, \d{4}-.*$", text, re.MULTILINE)
    assert headers == ["1", "2"]
    assert lines(folder).count("out") == lines(folder).count("err") == 2


def test_the_header_of_an_attempt_is_one_line_that_names_the_command(tmp_path):
    folder = make_run(tmp_path / "run", python("pass", "a\nb"))
    run_to_end(folder)
    assert lines(folder)[0].endswith(json.dumps(folder.read_run()["command"]))


def test_what_was_printed_before_a_kill_is_in_the_log(tmp_path):
    folder = make_run(tmp_path / "run", python("import os; print('before'); os.kill(os.getpid(), 9)"))
    assert run_to_end(folder)[0] == 137
    assert "before" in lines(folder)


def test_the_record_of_an_attempt_says_where_when_and_how(tmp_path):
    folder = make_run(tmp_path / "run", python("pass"))
    run_to_end(folder, job_variables("4711"))
    (attempt,) = folder.attempts()
    assert attempt["attempt"] == 1
    assert attempt["host"] == os.uname().nodename
    assert attempt["job"] == "4711"
    assert attempt["command"] == python("pass")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", attempt["start"])
    assert attempt["start"] < attempt["end"]
    assert attempt["seconds"] > 0
    assert attempt["environment"] is None


def test_the_record_says_running_while_the_command_runs(tmp_path):
    folder = make_run(tmp_path / "run", python("print('up'); input()"))
    code = "import os, time; print('up'); time.sleep(600)"
    folder = make_run(tmp_path / "run", python(code))
    launcher = start(folder)
    try:
        wait_for_line(folder, "up")
        (attempt,) = folder.attempts()
        assert (attempt["outcome"], attempt["end"], attempt["pid"]) == ("running", None, launcher.pid)
    finally:
        launcher.terminate()
        launcher.communicate()


def test_a_signal_that_ends_the_command_is_named(tmp_path):
    folder = make_run(tmp_path / "run", python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    code, errors = run_to_end(folder)
    assert code == 128 + 9
    (attempt,) = folder.attempts()
    assert (attempt["outcome"], attempt["exit_code"], attempt["signal"]) == ("killed", None, "SIGKILL")
    assert "was killed by SIGKILL: most likely it ran out of memory" in errors
    assert not folder.trained_file.exists()


def test_a_command_that_never_called_wandb_is_trained_and_the_message_says_so(tmp_path):
    folder = make_run(tmp_path / "run", ["true"])
    code, errors = run_to_end(folder)
    assert code == 0
    assert "the command never called wandb.init" in folder.attempts()[0]["message"]
    assert "the command never called wandb.init" in errors
    trained = json.loads(folder.trained_file.read_text())
    assert trained == folder.attempts()[0]
    assert (trained["run"], trained["attempt"], trained["segments"]) == ("k3j9", 1, [])
    # One file with two names: sites count files.
    assert folder.trained_file.samefile(folder.attempts_folder / "1.json")


def test_where_the_filesystem_has_no_hard_links_a_trained_run_has_a_copy(tmp_path, monkeypatch):
    def refused(_path, _target):
        raise OSError(errno.EPERM, "Operation not permitted")

    folder = make_run(tmp_path / "run", ["true"])
    attempt = Attempt.begin(folder, ["true"])
    monkeypatch.setattr(Path, "hardlink_to", refused)
    attempt.end(Ending(0))
    assert json.loads(folder.trained_file.read_text()) == folder.attempts()[0]
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
    assert [attempt["attempt"] for attempt in folder.attempts()] == [1, 2, 3, 4, 5, 6]


def test_a_number_that_is_taken_is_never_written_over(tmp_path):
    folder = make_run(tmp_path / "run", ["true"])
    first = Attempt.begin(folder, ["a"])
    second = Attempt.begin(folder, ["b"])
    second.end(Ending(1))
    first.end(Ending(0))
    assert [(a["attempt"], a["command"], a["exit_code"]) for a in folder.attempts()] == [(1, ["a"], 0), (2, ["b"], 1)]


def test_records_can_be_read_by_the_group(tmp_path):
    folder = make_run(tmp_path / "run", ["true"])
    run_to_end(folder)
    umask = os.umask(0)
    os.umask(umask)
    for file in (folder.attempts_folder / "1.json", folder.log_file, folder.trained_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


def test_nothing_is_left_behind_in_the_temporary_folder(tmp_path):
    temporary = tmp_path / "t"
    temporary.mkdir()
    run_to_end(make_run(tmp_path / "run", ["true"]), {"TMPDIR": str(temporary)})
    assert list(temporary.iterdir()) == []


def test_processes_that_the_command_leaves_behind_are_ended(tmp_path):
    code = """
import subprocess, sys
child = subprocess.Popen(["sleep", "600"])
print("child", child.pid)
"""
    folder = make_run(tmp_path / "run", python(code))
    assert run_to_end(folder)[0] == 0
    assert not is_running(printed(folder, "child"))


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


def test_the_log_is_shown_when_it_is_followed(tmp_path):
    folder = make_run(tmp_path / "run", python("print('first'); print('last')"))
    code = "import sys; from pathlib import Path; from runferry.launch.launch import launch; "
    code += "from runferry.runs.folder import RunFolder; launch(RunFolder(Path(sys.argv[1])), follow=True)"
    shown = subprocess.run(python(code, str(folder.path)), capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-2:] == ["first", "last"]


def test_a_missing_workdir_is_one_line_and_the_attempt_failed(tmp_path):
    folder = make_run(tmp_path / "run", ["true"], workdir=str(tmp_path / "gone"))
    code, errors = run_to_end(folder)
    assert code == 1
    expected = (
        f"{tmp_path / 'gone'}: found no such folder, expected the experiment's workdir, where the command is to run"
    )
    assert errors.splitlines() == [expected]
    (attempt,) = folder.attempts()
    assert (attempt["outcome"], attempt["exit_code"], attempt["message"]) == ("failed", None, expected)


def test_a_folder_without_run_json_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no run\.json"):
        launch(RunFolder(tmp_path))


@pytest.mark.parametrize("name", ["wandb", "wandb-data", "checkpoints"])
def test_a_folder_that_cannot_be_made_is_one_line_before_anything_is_run(tmp_path, name):
    folder = make_run(tmp_path / "run", ["touch", str(tmp_path / "ran")])
    (folder.path / name).write_text("a file in its place")
    code, errors = run_to_end(folder)
    assert code == 1
    (line,) = errors.splitlines()
    assert line.startswith(f"{folder.path / name}: found that it cannot be written (File exists)")
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_cannot_be_written_is_one_line_before_anything_is_run(tmp_path):
    folder = make_run(tmp_path / "run", ["touch", str(tmp_path / "ran")])
    folder.wandb_folder.mkdir()
    folder.wandb_folder.chmod(0o555)
    # Root may write everywhere, until it has given up CAP_DAC_OVERRIDE (1) and CAP_DAC_READ_SEARCH (2).
    code = """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
    from launching import LAUNCH

    launch_it = [sys.executable, "-c", LAUNCH, str(folder.path), "{}"]
    launched = subprocess.run(python(code, *launch_it), capture_output=True, text=True, check=False)
    assert launched.returncode == 1
    (line,) = launched.stderr.splitlines()
    assert line.startswith(
        f"{folder.wandb_folder}: found that it cannot be written (Permission denied), and what is logged"
    )
    assert not (tmp_path / "ran").exists()


def test_starting_the_launcher_imports_the_standard_library_alone():
    code = """
import sys
before = set(sys.modules)
import runferry.launch.launch
names = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(names - set(sys.stdlib_module_names)))
"""
    # -I and -S: what site-packages' .pth files import is none of the launcher's doing.
    source = str(Path(__file__).parents[2] / "src")
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {source!r})\n{code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.split() == ["runferry"]


FAKE_ENVIRONMENT = """
import signal, sys, time, types
from pathlib import Path

def unpack(record_file, destination):
    print("unpacking to", destination, flush=True)
    {unpacking}
    unpacked = destination / "environment-abc123"
    (unpacked / "bin").mkdir(parents=True)
    program = unpacked / "bin" / "train"
    program.write_text("#!/bin/sh\\necho path $PATH\\necho virtual $VIRTUAL_ENV\\n")
    program.chmod(0o755)
    return unpacked

sys.modules["runferry.environment.archive"] = types.SimpleNamespace(unpack=unpack)
"""


def start_with_fake_environment(folder: RunFolder, unpacking: str, **variables: str) -> subprocess.Popen[str]:
    from launching import LAUNCH

    code = FAKE_ENVIRONMENT.format(unpacking=unpacking) + LAUNCH
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return subprocess.Popen(
        python(code, str(folder.path), "{}"),
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_environment_comes_first_in_path(tmp_path):
    folder = make_run(tmp_path / "run", ["train"], environment="../environment.json")
    launcher = start_with_fake_environment(folder, "pass", PATH="/usr/bin:/bin", SLURM_TMPDIR=str(tmp_path))
    launcher.communicate()
    assert launcher.returncode == 0
    unpacked = tmp_path / "environment-abc123"
    assert f"path {unpacked}/bin:/usr/bin:/bin" in lines(folder)
    assert f"virtual {unpacked}" in lines(folder)
    assert folder.attempts()[0]["environment"] == "abc123"


def test_the_jobs_own_folder_keeps_the_environment_for_the_next_run(tmp_path):
    folder = make_run(tmp_path / "run", ["train"], environment="../environment.json")
    start_with_fake_environment(folder, "pass", SLURM_TMPDIR=str(tmp_path / "job")).communicate()
    # A folder that is not there is not used; see the next test for what is used then.
    assert not (tmp_path / "job").exists()
    (tmp_path / "job").mkdir()
    start_with_fake_environment(folder, "pass", SLURM_TMPDIR=str(tmp_path / "job")).communicate()
    assert (tmp_path / "job" / "environment-abc123").is_dir()


def test_a_temporary_environment_is_removed(tmp_path):
    temporary = tmp_path / "t"
    temporary.mkdir()
    folder = make_run(tmp_path / "run", ["train"], environment="../environment.json")
    launcher = start_with_fake_environment(folder, "pass", TMPDIR=str(temporary))
    shown, _ = launcher.communicate()
    assert launcher.returncode == 0
    assert shown.startswith(f"unpacking to {temporary}/runferry-")
    assert list(temporary.iterdir()) == []


def test_a_signal_while_the_environment_is_unpacked_ends_the_attempt(tmp_path):
    folder = make_run(tmp_path / "run", ["touch", str(tmp_path / "ran")], environment="../environment.json")
    launcher = start_with_fake_environment(folder, "time.sleep(600)")
    launcher.stdout.readline()
    launcher.terminate()
    _, errors = launcher.communicate()
    assert launcher.returncode == 143
    (attempt,) = folder.attempts()
    assert (attempt["outcome"], attempt["signal"]) == ("killed", "SIGTERM")
    assert "stopped before the command was started" in errors
    assert not (tmp_path / "ran").exists()


def test_of_two_launchers_of_one_run_the_second_leaves(tmp_path):
    folder = make_run(tmp_path / "run", python("import time; print('up'); time.sleep(600)"))
    first = start(folder)
    try:
        wait_for_line(folder, "up")
        code, errors = run_to_end(folder)
        assert code == AnotherAttemptError.exit_code
        assert f"found attempt 1 (process {first.pid} on {os.uname().nodename}) at work, expected none" in errors
        assert first.poll() is None
    finally:
        first.terminate()
        first.communicate()
    assert [attempt["reason"] for attempt in folder.attempts()] == ["stopped", "not started"]


def test_a_launcher_ends_its_command_when_a_newer_attempt_has_taken_over(tmp_path):
    folder = make_run(tmp_path / "run", python("import time; print('up'); time.sleep(600)"))
    launcher = start(folder)
    wait_for_line(folder, "up")
    write_json(folder.attempts_folder / "2.json", {"attempt": 2, "outcome": "taking over", "segments": []})
    launcher.communicate(timeout=60)
    first, _ = folder.attempts()
    assert first["reason"] == "superseded"
    assert not folder.trained_file.exists()


def test_an_attempt_that_left_no_word_is_ended_by_the_next_one(tmp_path):
    folder = make_run(tmp_path / "run", python("print('done')"))
    gone = {"attempt": 1, "outcome": "running", "host": os.uname().nodename, "pid": 2**22, "job": None, "segments": []}
    write_json(folder.attempts_folder / "1.json", gone)
    assert run_to_end(folder)[0] == 0
    first, second = folder.attempts()
    assert (first["outcome"], first["reason"]) == ("lost", "lost")
    assert second["outcome"] == "finished"


def test_a_job_that_slurm_runs_again_after_its_training_ended_does_not_train_again(tmp_path):
    folder = make_run(tmp_path / "run", python("print('trained')"))
    assert run_to_end(folder, job_variables("7"))[0] == 0
    # As Snakemake does before it starts a job.
    folder.trained_file.unlink()
    assert run_to_end(folder, job_variables("7"))[0] == 0
    assert folder.trained_file.exists()
    assert lines(folder).count("trained") == 1

"""What a command gets from the launcher, and what the launcher leaves in the run's folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runferry.errors import ConfigError
from runferry.launch.launch import launch
from runferry.runs.folder import RunFolder
from support.attempt_files import attempts_of
from support.launching import (
    KEY,
    job_variables,
    lines,
    make_run,
    printed,
    python,
    run_to_end,
    start,
    wait_for_line,
)
from support.paths import ROOT

PRINT_ARGUMENTS = "import json, sys; print('arguments', json.dumps(sys.argv[1:]))"
PRINT_VARIABLES = "import json, os; print('variables', json.dumps(dict(os.environ)))"

AWKWARD = ["", "two words", "'single'", '"double"', "; exit 3", "$(touch made)", "`touch made`", "a\nb", "\\", "-n",
           "*", "~", "$HOME", "ünïcödé ✓ 日本", "{braces}", "%d", "#"]  # fmt: skip


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
        # Each wandb.init asks for its own.
        "WANDB_RUN_ID": None,
        "WANDB_RUN_GROUP": "digits",
        "WANDB_PROJECT": "digits",
        "WANDB_NAME": "digits lr=0.1",
        "WANDB_TAGS": "a,b c",
        "WANDB_RESUME": None,
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
    assert (variables["WANDB_MODE"], variables.get("WANDB_RUN_ID"), variables["MY_OWN"]) == ("offline", None, "kept")
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
    assert lines(folder)[0].endswith(json.dumps(folder.read_run().command))


def test_what_was_printed_before_a_kill_is_in_the_log(tmp_path):
    folder = make_run(tmp_path / "run", python("import os; print('before'); os.kill(os.getpid(), 9)"))
    assert run_to_end(folder)[0] == 137
    assert "before" in lines(folder)


def test_the_record_of_an_attempt_says_where_when_and_how(tmp_path):
    folder = make_run(tmp_path / "run", python("pass"))
    run_to_end(folder, job_variables("4711"))
    (attempt,) = attempts_of(folder)
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
        (attempt,) = attempts_of(folder)
        assert (attempt["outcome"], attempt["end"], attempt["pid"]) == ("running", None, launcher.pid)
    finally:
        launcher.terminate()
        launcher.communicate()


def test_a_command_that_never_called_wandb_is_trained_and_the_message_says_so(tmp_path):
    folder = make_run(tmp_path / "run", ["true"])
    code, errors = run_to_end(folder)
    assert code == 0
    assert "the command never called wandb.init" in attempts_of(folder)[0]["message"]
    assert "the command never called wandb.init" in errors
    trained = json.loads(folder.trained_file.read_text())
    assert trained == attempts_of(folder)[0]
    assert (trained["run"], trained["attempt"], trained["segments"]) == ("k3j9", 1, [])
    # One file with two names: sites count files.
    assert folder.trained_file.samefile(folder.attempts_folder / "1.json")


def test_nothing_is_left_behind_in_the_temporary_folder(tmp_path):
    temporary = tmp_path / "t"
    temporary.mkdir()
    run_to_end(make_run(tmp_path / "run", ["true"]), {"TMPDIR": str(temporary)})
    assert list(temporary.iterdir()) == []


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
    (attempt,) = attempts_of(folder)
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
    from support.launching import LAUNCH

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
    source = str(ROOT / "src")
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {source!r})\n{code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.split() == ["runferry"]

"""Scripts with several W&B runs, run by the launcher with each version of wandb: the hook names each of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runferry.trackers.wandb.hook_files import with_hook, write_hook
from runferry.trackers.wandb.log.segment import history, read_segment
from runferry.trackers.wandb.run_ids import FILE
from support.launching import WANDB_VERSIONS, lines, make_run, run_to_end


@pytest.fixture(params=WANDB_VERSIONS)
def python(request, wandb_python) -> str:
    return str(wandb_python(request.param))


def _runs(folder, segments=None):
    """Return id, name, group and values of each segment."""
    found = [read_segment(path) for path in segments or folder.segments()]
    return [
        (each.run_id, each.display_name, each.group, [row["value"] for row in history(each.folder)]) for each in found
    ]


FOLDS = """
import os, wandb
print("variables", [os.environ.get(name) for name in ("WANDB_RUN_ID", "WANDB_RESUME")])
for fold in range(3):
    run = wandb.init(group="cv" if fold else None)
    print("resumed", fold, run.resumed, run.step)
    for step in range(2):
        run.log({"value": 10 * fold + step})
    run.finish()
"""


def test_each_init_is_a_run_and_goes_on_in_the_next_attempt(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", FOLDS])
    assert run_to_end(folder) == (0, "")
    assert sorted(_runs(folder)) == [
        ("k3j9", "digits lr=0.1", "digits", [0, 1]),
        ("k3j9-2", "", "cv", [10, 11]),
        ("k3j9-3", "", "cv", [20, 21]),
    ]
    assert run_to_end(folder)[0] == 0
    assert [line for line in lines(folder) if line.startswith(("resumed", "variables"))] == [
        "variables [None, None]",
        *(f"resumed {fold} False 0" for fold in range(3)),
        "variables [None, None]",
        *(f"resumed {fold} True 2" for fold in range(3)),
    ]
    steps = {}
    for path in folder.segments():
        steps.setdefault(read_segment(path).run_id, []).extend(row["_step"] for row in history(path))
    assert steps == {run: [0, 1, 2, 3] for run in ("k3j9", "k3j9-2", "k3j9-3")}


THREADS = """
import threading, time, wandb
from wandb.sdk.wandb_settings import Settings

read = Settings.update_from_env_vars

def read_late(self, environment):
    time.sleep(1)
    read(self, environment)

Settings.update_from_env_vars = read_late

def work(fold):
    time.sleep(fold / 5)
    run = wandb.init(reinit="create_new", config={"fold": fold})
    run.log({"value": fold})
    run.finish()

threads = [threading.Thread(target=work, args=(fold,)) for fold in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_begin_while_wandb_reads_its_variables_have_them_too(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", THREADS])
    assert run_to_end(folder) == (0, "")
    assert not any("brought" in line for line in lines(folder))
    assert {read_segment(path).project for path in folder.segments()} == {"digits"}
    assert sorted(values for *_, values in _runs(folder)) == [[0], [1], [2]]


def test_an_init_that_raises_or_returns_what_is_open_uses_no_id_twice(tmp_path, python):
    code = """
import wandb
for config in ({5: 1}, {}):
    try:
        run = wandb.init(config=config)
    except Exception as error:
        print("raised", error)
assert wandb.init().id == run.id
run.log({"value": 1})
run.finish()
with wandb.init() as run:
    run.log({"value": 2})
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder) == (0, "")
    written = [(run, values) for run, _, _, values in _runs_with_logs(folder)]
    # 0.27 and later take the id before they raise the error.
    assert written in ([("k3j9", []), ("k3j9-2", [1]), ("k3j9-3", [2])], [("k3j9", [1]), ("k3j9-2", [2])])


def _runs_with_logs(folder):
    return sorted(_runs(folder, [path for path in folder.segments() if list(path.glob("run-*.wandb"))]))


def test_a_job_with_one_leaves_no_further_file(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", "import wandb; wandb.init().log({'value': 1})"])
    assert run_to_end(folder) == (0, "")
    assert [run[0] for run in _runs(folder)] == ["k3j9"]
    assert not (folder.wandb_folder / FILE).exists()


def test_steps_of_one_run_are_not_those_of_another_that_is_open_too(tmp_path, python):
    code = """
import os, wandb
runs = [wandb.init(name=name, reinit="create_new") for name in ("a", "b")[:int(os.environ["RUNFERRY_ATTEMPT"])]]
for _ in range(3):
    for run in runs:
        run.log({"value": 1})
print("steps", [run.step for run in runs], flush=True)
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder) == (0, "")
    assert run_to_end(folder) == (0, "")
    # wandb counts rows that are not committed yet as well: the last line says what it would log next.
    assert [line for line in lines(folder) if line.startswith("steps")] == ["steps [3]", "steps [6, 3]"]
    steps = [(read_segment(path).run_id, [row["_step"] for row in history(path)]) for path in folder.segments()]
    assert sorted(steps) == [("k3j9", [0, 1, 2]), ("k3j9", [3, 4, 5]), ("k3j9-2", [0, 1, 2])]


def test_ids_of_the_script_are_kept(tmp_path, python):
    code = """
import os, wandb
with wandb.init(id="mine") as run:
    run.log({"value": 0})
os.environ["WANDB_RUN_ID"] = "mine-too"
wandb.teardown()
with wandb.init(name="named") as run:
    run.log({"value": 1})
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder) == (0, "")
    assert sorted(_runs(folder)) == [
        ("mine", "digits lr=0.1", "digits", [0]),
        ("mine-too", "named", "digits", [1]),
    ]


def test_a_shell_that_starts_a_python_which_is_not_in_the_path_is_followed(tmp_path, python):
    train = "import os, wandb; print('service', bool(os.environ.get('WANDB_SERVICE'))); wandb.init().log({'value': 1})"
    (tmp_path / "train.py").write_text(
        train + "\nprint('then', bool(os.environ['WANDB_SERVICE']))\nos.kill(os.getpid(), 9)"
    )
    command = ["sh", "-c", f"{python} train.py; {python} train.py --again; true"]
    folder = make_run(tmp_path / "run", command)
    assert run_to_end(folder, {"PATH": "/usr/bin:/bin"}) == (0, "")
    # Killed, and all its rows are there: its wandb-core was the keeper's.
    assert [(run[0], run[3]) for run in _runs(folder)] == [("k3j9", [1]), ("k3j9-2", [1])]


def test_a_python_that_does_not_load_the_hook_has_one_run_as_before(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-E", "-c", "import wandb; wandb.init().log({'value': 1})"])
    assert run_to_end(folder) == (0, "")
    assert [run[0] for run in _runs(folder)] == ["k3j9"]


def test_files_that_are_saved_are_kept_as_they_were_when_their_run_ended(tmp_path, python):
    code = """
import wandb
for fold in range(2):
    with wandb.init() as run:
        run.log({"value": fold})
        with open("best.txt", "w") as file:
            file.write(f"fold {fold}")
        run.save("best.txt")
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder) == (0, "")
    saved = [segment / "files" / "best.txt" for segment in folder.segments()]
    assert sorted(file.read_text() for file in saved) == ["fold 0", "fold 1"]
    assert not [file for file in saved if file.is_symlink()]


def test_artifacts_name_their_files_by_absolute_paths(tmp_path, python):
    code = """
import os, wandb
os.makedirs("out"); os.chdir("out"); open("one.txt", "w").write("one")
artifact = wandb.Artifact("a", type="data")
artifact.add_file("one.txt", policy="immutable")
print("path", artifact.manifest.entries["one.txt"].local_path)
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder)[0] == 0
    assert f"path {tmp_path / 'out' / 'one.txt'}" in lines(folder)


SHARED = "import wandb; run = wandb.init(mode='shared'); run.log({'value': 1})"


def test_a_mode_that_needs_the_server_is_named(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", SHARED])
    # Nobody is there, and there is no key.
    nobody = {"HOME": str(tmp_path), "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "5"}
    code, errors = run_to_end(folder, nobody)
    assert code == 1
    assert errors.splitlines()[0].startswith(
        'runferry: run k3j9 failed with exit code 1: the script says mode="shared" in wandb.init, which asks W&B\'s '
        "server, and this job is offline (wandb.mode in config.yaml): take mode= out of the script"
    )


def test_rows_that_are_not_on_the_disk_are_said_and_the_run_is_not_done(tmp_path, python):
    # As where the disk was full: wandb-core, which has the file open, writes no more of it.
    code = """
import glob, wandb
run = wandb.init()
run.log({"value": 1})
(log,) = glob.glob(run.dir + "/../run-*.wandb")
import os
os.rename(log, log + ".old")
open(log, "wb").write(open(log + ".old", "rb").read())
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    code, errors = run_to_end(folder)
    assert code == 1
    assert "rows are missing: " in errors
    assert not folder.trained_file.exists()


HOOK_CODE = "import os, sys; print(os.environ.get('WANDB_DIR'), os.environ.get('WANDB_RUN_ID'), 'json' in sys.modules)"


def _job(tmp_path):
    given = {
        "WANDB_RUN_ID": "k3",
        "WANDB_RESUME": "allow",
        "WANDB_NAME": "n",
        "WANDB_DIR": "/there",
        "WANDB_API_KEY": "x",
    }
    folder = write_hook(tmp_path, given, "/nowhere/socket")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    return folder, with_hook({**kept, **given, "PYTHONPATH": str(tmp_path / "own")}, str(folder))


def _python(code, environment):
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)


def test_variables_that_are_taken_out_are_set_again_and_the_key_is_not_written_down(tmp_path):
    folder, environment = _job(tmp_path)
    assert b"API_KEY" not in (folder / "job").read_bytes()
    del environment["WANDB_DIR"]
    done = _python(HOOK_CODE, environment)
    # A Python that has nothing to do with wandb pays for no json.
    assert (done.stdout, done.stderr) == ("/there None False\n", "")


def test_a_python_that_has_nothing_to_do_with_wandb_loads_the_start_alone(tmp_path):
    # Thousands of them may be started by a job: with `typing` each took 11 ms more.
    _, environment = _job(tmp_path)
    code = "import sys; print(*sys.modules)"
    without = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    more = {*_python(code, environment).stdout.split()} - {*_python(code, without).stdout.split()}
    assert more == {"sitecustomize"}


def test_a_sitecustomize_of_the_sites_own_is_loaded_too(tmp_path):
    _, environment = _job(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("print('the own')")
    assert _python("", environment).stdout == "the own\n"


def test_another_wandb_and_a_launcher_that_is_gone_stop_no_training(tmp_path):
    _, environment = _job(tmp_path)
    sdk = tmp_path / "own" / "wandb" / "sdk"
    sdk.mkdir(parents=True)
    (sdk.parent / "__init__.py").write_text("")
    (sdk / "__init__.py").write_text("")
    (sdk / "wandb_init.py").write_text("class _WandbInit: pass")
    done = _python("import wandb.sdk.wandb_init; print('goes on')", environment)
    assert done.stdout == "goes on\n"
    assert "this wandb has no set_run_id" in done.stderr
    (sdk / "wandb_init.py").write_text(
        "class _WandbInit:\n    def set_run_id(self, settings): print('chosen by wandb')\n    init = None\n"
        "class S: _noop = False; root_dir = '.'; run_group = run_id = resume = resume_from = fork_from = None\n"
    )
    done = _python(
        "from wandb.sdk.wandb_init import *; from wandb.sdk.wandb_init import _WandbInit as w; w().set_run_id(S())",
        environment,
    )
    assert done.stdout == "chosen by wandb\n"
    assert "gets an id of wandb's own" in done.stderr


def test_the_hook_of_a_job_around_this_one_is_left_out(tmp_path):
    folder, environment = _job(tmp_path)
    assert with_hook(environment, "/inner")["PYTHONPATH"] == f"/inner{os.pathsep}{tmp_path / 'own'}"
    assert environment["PYTHONPATH"].startswith(str(folder))

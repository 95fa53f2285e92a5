"""Runs that log to Comet, of real comet_ml in real launchers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from runferry.runs.folder import RunFolder
from runferry.trackers.comet.reading import read_archives
from support.attempt_files import attempts_of
from support.comet_runs import LOG, TEN, assert_all_there, die, launch, make_run, start, sync_one
from support.comet_standin import KEY


def wait_for_line(folder: RunFolder, text: str) -> None:
    end = time.monotonic() + 60
    while not folder.log_file.exists() or text not in folder.log_file.read_text():
        assert time.monotonic() < end, f"waited a minute for {text!r}"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_what_a_killed_run_logged_is_there_as_of_a_run_that_ended_so(server, python, tmp_path, name):
    folder = make_run(tmp_path, python, f"{LOG}\n{die(name)}")
    number = getattr(signal, name)
    assert launch(folder).returncode == 128 + number
    # comet_ml makes its archive at its end only, which the hook brings about before SIGTERM.
    sizes = [file.stat().st_size > 22 for file in folder.path.glob("comet/attempt-1/*.zip")]
    assert sizes == [name == "SIGTERM"]
    assert sync_one(folder).problem is None
    experiment = server.the_only()
    assert_all_there(experiment)
    assert experiment.project == "numbers"
    assert experiment.errors[0] == f"attempt 1 killed ({name})"


def test_comet_alone_leaves_an_empty_archive_of_a_killed_run(python, tmp_path):
    """What the launcher is there for: should this fail one day, much of it is not needed any more."""
    environment = {"COMET_OFFLINE_DIRECTORY": str(tmp_path / "offline"), "COMET_START_ONLINE": "0"}
    training = subprocess.Popen(
        [python, "-c", f"{LOG}\n{die('SIGTERM')}"],
        env=os.environ | environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    ended = training.wait(60)
    # Processes that it has forked for its console live on; under the launcher they are ended.
    with suppress(ProcessLookupError):
        os.killpg(training.pid, signal.SIGKILL)
    assert ended == -signal.SIGTERM
    assert [file.stat().st_size for file in (tmp_path / "offline").iterdir()] == [22]


def test_what_was_logged_is_kept_when_everything_is_killed_at_once(server, newest, tmp_path):
    folder = make_run(tmp_path, newest, f"{LOG}\nprint('pid', os.getpid(), flush=True)\ntime.sleep(60)")
    launcher = start(folder)
    wait_for_line(folder, "pid ")
    time.sleep(0.5)
    training = int(folder.log_file.read_text().rpartition("pid ")[2].split()[0])
    os.killpg(launcher.pid, signal.SIGKILL)
    os.kill(training, signal.SIGKILL)
    launcher.communicate()
    # The keeper, which outlives both, says how it ended.
    deadline = time.monotonic() + 20
    while attempts_of(folder)[-1]["outcome"] == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sync_one(folder).problem is None
    assert_all_there(server.the_only())


def test_a_script_keeps_its_own_handler(server, newest, tmp_path):
    code = LOG.replace("import comet_ml", "import comet_ml\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(3))")
    folder = make_run(tmp_path, newest, f"{code}\n{die('SIGTERM')}")
    assert launch(folder).returncode == 3
    assert sync_one(folder).problem is None
    assert_all_there(server.the_only())


def test_the_warning_of_a_time_limit_ends_the_experiment(server, newest, tmp_path):
    warning = {"signal": "SIGUSR1", "seconds": 300}
    folder = make_run(tmp_path, newest, f"{LOG}\n{die('SIGUSR1')}", warning=warning)
    assert launch(folder).returncode == 128 + signal.SIGUSR1
    (archive,), unreadable = read_archives(folder, folder.read_run())
    assert archive.ended
    assert unreadable == {}
    assert sync_one(folder).problem is None
    assert_all_there(server.the_only())


def test_a_process_that_the_training_forks_ends_at_sigterm_and_leaves_the_experiment_alone(server, newest, tmp_path):
    # The child says that it is there: a signal that reaches it inside of fork() is forgotten by Python.
    code = f"""{LOG}
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.write(writing, b"x")
    time.sleep(60)
    os._exit(1)
os.read(reading, 1)
os.kill(child, signal.SIGTERM)
begun = time.monotonic()
assert os.waitpid(child, 0)[1] == signal.SIGTERM
assert time.monotonic() - begun < 5
experiment.log_metric("after", 1.0, step=1)
"""
    folder = make_run(tmp_path, newest, code)
    assert launch(folder).returncode == 0
    assert sync_one(folder).problem is None
    assert_all_there(server.the_only())
    assert server.the_only().values("after") == [1.0]


def test_what_the_script_says_wins_over_the_config_also_when_it_is_killed(server, newest, tmp_path):
    code = LOG.replace("comet_ml.start()", "comet_ml.OfflineExperiment(project_name='mine', workspace='team')")
    folder = make_run(tmp_path, newest, f"{code}\n{die('SIGKILL')}")
    assert launch(folder).returncode == 137
    # A setting of the person's, which `comet upload` would prefer to what the archive says.
    (Path(os.environ["HOME"]) / ".comet.config").write_text("[comet]\nworkspace=elsewhere\nproject_name=other\n")
    assert sync_one(folder).problem is None
    experiment = server.the_only()
    assert (experiment.workspace, experiment.project) == ("team", "mine")
    assert experiment.values("loss") == TEN


def test_an_attempt_goes_on_with_an_experiment_that_is_there_already(server, newest, tmp_path):
    folder = make_run(tmp_path, newest)
    assert launch(folder, LAST="4").returncode == 0
    assert sync_one(folder).problem is None
    assert launch(folder, FIRST="4").returncode == 0
    output = list(server.the_only().output)
    assert sync_one(folder).problem is None
    experiment = server.the_only()
    assert experiment.values("loss") == TEN
    assert experiment.output[: len(output)] == output
    assert sum("logged all" in line for line in experiment.output) == 2


def test_the_key_is_in_no_file_and_not_in_the_training(server, newest, tmp_path):
    code = f"{LOG}\nassert 'COMET_API_KEY' not in os.environ\nassert 'WANDB_API_KEY' not in os.environ"
    folder = make_run(tmp_path, newest, code)
    assert launch(folder, WANDB_API_KEY="w" * 40).returncode == 0
    assert sync_one(folder).problem is None
    for file in (tmp_path / "results").rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file


def test_other_temporary_files_stay_on_the_node_and_the_site_s_own_customisation_is_loaded(newest, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import sys\nsys.site_was_here = True\n")
    code = f"{LOG}\nimport tempfile\nassert sys.site_was_here\nprint('made', tempfile.mkdtemp())"
    folder = make_run(tmp_path, newest, code)
    assert launch(folder, PYTHONPATH=str(site)).returncode == 0, folder.log_file.read_text()
    made = folder.log_file.read_text().partition("made ")[2].split()[0]
    assert not Path(made).is_relative_to(tmp_path / "results")
    assert not list((tmp_path / "results").rglob("data-*"))


def test_a_command_that_never_calls_comet_is_said(newest, tmp_path):
    folder = make_run(tmp_path, newest, "print('nothing')")
    assert launch(folder).returncode == 0
    problem = sync_one(folder).problem
    why = "the command never called comet_ml.start, so there is nothing to sync"
    assert problem == f"found nothing on disk, expected an archive of Comet's: {why}"


def test_a_script_that_asks_for_an_online_experiment_is_told_how_to_mend_it(newest, tmp_path):
    folder = make_run(tmp_path, newest, "import comet_ml\ncomet_ml.Experiment()")
    done = launch(folder)
    assert done.returncode == 1
    assert "comet_ml.start()" in done.stderr

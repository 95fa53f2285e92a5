"""Runs that log to Comet, of real comet_ml in real launchers, brought by the real `comet upload` to a stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from comet_standin import KEY, CometStandIn, Experiment, comet_running
from runferry.api_run import Run
from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.sync.outcome import Limits, Outcome
from runferry.system.files import write_json
from runferry.trackers.comet.reading import read_archives

VERSIONS = ["3.47.1", "newest"]
QUICK = Limits(patience=0.5, deadline=60)
LOG = """
import os, signal, sys, time
import comet_ml
experiment = comet_ml.start()
experiment.log_parameters({"lr": 0.1, "deep": {"layers": 3}})
experiment.log_other("dataset", "digits")
experiment.add_tag("from the script")
with open("model.txt", "w") as file:
    file.write("weights")
experiment.log_asset("model.txt")
for step in range(int(os.environ.get("FIRST", 0)), int(os.environ.get("LAST", 10))):
    experiment.log_metric("loss", 1 / (step + 1), step=step)
    experiment.log_metric("odd", float("nan") if step % 2 else float("inf"), step=step)
print("logged all", flush=True)
"""
TEN = [1 / (step + 1) for step in range(10)]


def die(name: str) -> str:
    """Wait for the last message to leave the process's own queue, and get a signal."""
    return f"time.sleep(0.5)\nos.kill(os.getpid(), signal.{name})\ntime.sleep(60)"


@pytest.fixture
def server() -> Iterator[CometStandIn]:
    with comet_running() as standin:
        yield standin
    assert standin.unknown == []


@pytest.fixture(autouse=True)
def connected(server: CometStandIn, comet_python: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process that syncs finds the stand-in, the newest comet_ml, and nothing of who runs the tests."""
    for name in [name for name in os.environ if name.startswith(("COMET_", "WANDB_", "SLURM_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    beside = comet_python("newest").parent
    for name, value in {**server.environment, "HOME": str(home), "PATH": f"{beside}:{os.environ['PATH']}"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest, comet_python: Callable[[str], Path]) -> Path:
    return comet_python(request.param)


@pytest.fixture
def newest(comet_python: Callable[[str], Path]) -> Path:
    return comet_python("newest")


@pytest.fixture(scope="module")
def written(comet_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One run that ended normally, written once; tests copy it."""
    folder = make_run(tmp_path_factory.mktemp("written"), comet_python("newest"))
    assert launch(folder).returncode == 0
    return folder


@pytest.fixture
def run(written: RunFolder, tmp_path: Path) -> RunFolder:
    results = tmp_path / "results" / "digits"
    results.mkdir(parents=True)
    subprocess.run(["cp", "-a", written.path, results], check=True)
    return RunFolder(results / written.path.name)


def make_run(place: Path, python: Path, code: str = LOG, **changes: Any) -> RunFolder:
    folder = RunFolder(place / "results" / "digits" / "k3j9")
    record = {
        "id": "k3j9",
        "name": "lr=0.1",
        "experiment": "digits",
        "command": [str(python), "-c", code],
        "workdir": str(place),
        "environment": None,
        "tracker": "comet",
        "comet": {"project": "numbers", "workspace": None, "tags": ["a", "b c"], "base_url": None, "group": "digits"},
    }
    write_json(folder.run_file, record | changes)
    return folder


def start(folder: RunFolder, **variables: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COMET_", "SLURM_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "runferry", "launch", str(folder.path)],
        env=environment | {"COMET_API_KEY": KEY} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def launch(folder: RunFolder, **variables: str) -> subprocess.CompletedProcess[str]:
    launcher = start(folder, **variables)
    out, errors = launcher.communicate(timeout=120)
    return subprocess.CompletedProcess(launcher.args, launcher.returncode, out, errors)


def wait_for_line(folder: RunFolder, text: str) -> None:
    end = time.monotonic() + 60
    while not folder.log_file.exists() or text not in folder.log_file.read_text():
        assert time.monotonic() < end, f"waited a minute for {text!r}"
        time.sleep(0.02)


def sync_one(folder: RunFolder, limits: Limits = QUICK) -> Outcome:
    (outcome,) = sync([folder], limits)
    return outcome


def assert_all_there(experiment: Experiment, points: list[float] = TEN) -> None:
    assert experiment.values("loss") == points
    assert experiment.steps("loss") == list(range(len(points)))
    assert experiment.parameters["lr"] == 0.1
    assert experiment.others["dataset"] == "digits"
    assert {"digits", "a", "b c", "from the script"} <= experiment.tags
    assert [each["fileSize"] for each in experiment.assets.values() if each["fileName"] == "model.txt"] == [7]
    assert not experiment.running


def read_receipt(folder: RunFolder) -> dict[str, Any]:
    return json.loads(folder.receipt_file.read_text())


def test_a_run_that_ends_normally_is_there_whole_and_has_a_receipt(server, python, tmp_path):
    folder = make_run(tmp_path, python)
    assert launch(folder).returncode == 0
    assert json.loads(folder.trained_file.read_text())["segments"] == ["attempt-1"]
    assert sync_one(folder).problem is None
    experiment = server.the_only()
    assert_all_there(experiment)
    assert (experiment.project, experiment.others["Name"]) == ("numbers", "lr=0.1")
    assert not any("attempt" in error for error in experiment.errors)
    receipt = read_receipt(folder)
    (key,) = server.experiments
    assert receipt["url"] == f"{server.url}/me/numbers/{key}"
    (described,) = receipt["experiments"]
    assert described["values"] == sum(map(len, experiment.metrics.values()))
    assert "console output" in described["not_compared"]
    assert receipt["unreadable"] == {}


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
    while folder.attempts()[-1]["outcome"] == "running" and time.monotonic() < deadline:
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


def test_attempts_of_a_run_are_one_experiment_in_their_order(server, newest, tmp_path):
    folder = make_run(
        tmp_path, newest, f"{LOG}\nif 'FIRST' not in os.environ:\n {die('SIGKILL').replace(chr(10), '; ')}"
    )
    assert launch(folder, LAST="4").returncode == 137
    assert launch(folder, FIRST="4").returncode == 0
    assert [attempt["segments"] for attempt in folder.attempts()] == [["attempt-1"], ["attempt-2"]]
    assert sync_one(folder).problem is None
    experiment = server.the_only()
    assert experiment.values("loss") == TEN
    assert experiment.steps("loss") == list(range(10))
    # It finished in the end.
    assert not any("attempt" in error for error in experiment.errors)


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


def test_what_is_synced_twice_is_there_once(server, run):
    assert sync_one(run).problem is None
    asked = len(server.requests)
    assert sync_one(run).problem is None
    # The receipt speaks of what is on disk: nobody is asked.
    assert len(server.requests) == asked
    run.receipt_file.unlink()
    assert sync_one(run).problem is None
    assert_all_there(server.the_only())
    assert server.uploads() == 1
    assert not any(path.startswith("/clientlib/") for path in server.requests[asked:])


def test_a_receipt_does_not_hold_for_what_was_written_after_it(server, run):
    assert sync_one(run).problem is None
    (archive,) = run.path.glob("comet/attempt-1/*.zip")
    archive.write_bytes(archive.read_bytes() + b"more")
    asked = len(server.requests)
    sync_one(run)
    assert len(server.requests) > asked


LIES = {
    "values lost": ("batch/logger/experiment/metric", "lose", "values of"),
    "values refused": ("batch/logger/experiment/metric", 403, "values of"),
    "parameters refused": ("batch/logger/experiment/parameter", 400, "no parameter"),
    # Refused, comet_ml tries each of these again for ten seconds.
    "others lost": ("write/experiment/log-other", "lose", "no other"),
    "file lost": ("asset/upload", "lose", "no file"),
    "captive portal": ("batch/logger/experiment/metric", "html", "values of"),
}


@pytest.mark.parametrize(("path", "fault", "said"), LIES.values(), ids=LIES.keys())
def test_what_did_not_arrive_is_never_called_done_and_arrives_once_with_the_next_sync(server, run, path, fault, said):
    server.faults[path] = fault
    log = run.path / "sync.log"
    with log.open("w") as stream:
        (outcome,) = sync([run], QUICK, log=stream)
    # It says so and exits with 0.
    assert "Number of uploaded experiments: 1" in log.read_text()
    assert outcome.problem is not None
    assert outcome.problem.startswith("not verified: ")
    assert said in outcome.problem
    assert not run.receipt_file.exists()
    server.faults.clear()
    output = list(server.the_only().output)
    assert sync_one(run).problem is None
    assert_all_there(server.the_only())
    assert sorted(server.the_only().values("odd")) == ["Infinity"] * 5 + ["NaN"] * 5
    # Nor are console lines there twice, of which the server cannot be asked whether it has them.
    assert server.the_only().output == output


def test_values_that_are_there_twice_are_named_and_nothing_is_sent(server, run):
    assert sync_one(run).problem is None
    run.receipt_file.unlink()
    losses = server.the_only().metrics["loss"]
    losses.append(losses[-1])
    asked = len(server.requests)
    problem = sync_one(run).problem
    assert problem
    assert "1 values of loss that the disk does not have" in problem
    assert not any(path.startswith("/clientlib/") for path in server.requests[asked:])


def test_a_server_that_takes_its_time_is_waited_for(server, run):
    server.delay = 1.0
    assert sync_one(run, Limits(patience=20, deadline=60)).problem is None
    assert server.uploads() == 1


def test_a_wrong_key_is_said_and_nothing_is_sent(server, run, monkeypatch, capfd):
    monkeypatch.setenv("COMET_API_KEY", "wrong")
    done = runferry("sync", str(run.path))
    assert done.returncode == 1
    assert (
        f"{server.url}: refused the key found in COMET_API_KEY (HTTP 401), expected a valid one; type: comet login"
        in done.stderr
    )
    assert server.experiments == {}
    assert "wrong" not in done.stderr.replace("wrong key", "")


def test_without_a_key_what_to_type_is_said(server, run, monkeypatch):
    monkeypatch.delenv("COMET_API_KEY")
    done = runferry("sync", str(run.path))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("type: comet login")
    (Path(os.environ["HOME"]) / ".comet.config").write_text(f"[comet]\napi_key={KEY}\n")
    assert runferry("sync", str(run.path)).returncode == 0
    assert_all_there(server.the_only())


def test_a_server_that_is_down_is_said_and_the_next_sync_brings_all(server, run, monkeypatch):
    monkeypatch.setenv("COMET_URL_OVERRIDE", "http://127.0.0.1:9/clientlib/")
    done = runferry("sync", str(run.path))
    assert done.returncode == 1
    assert "http://127.0.0.1:9: could not be reached" in done.stderr
    assert not run.receipt_file.exists()
    monkeypatch.setenv("COMET_URL_OVERRIDE", f"{server.url}/clientlib/")
    assert runferry("sync", str(run.path)).returncode == 0
    assert_all_there(server.the_only())


def test_without_the_program_comet_what_to_install_is_said(server, run, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    problem = runferry("sync", str(run.path)).stderr
    assert "found no program comet, expected that of comet_ml; type: pip install 'runferry[comet]'" in problem
    assert server.experiments == {}


def test_an_upload_that_does_not_end_is_stopped_and_none_goes_on_beside_the_next(server, run, tmp_path, monkeypatch):
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "comet").write_text("#!/bin/sh\nsleep 60\n")
    (slow / "comet").chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow}:{os.environ['PATH']}")
    begun = time.monotonic()
    problem = sync_one(run, Limits(patience=0.5, deadline=0.5)).problem
    assert problem
    assert "expected comet upload to end, found it at work after" in problem
    assert time.monotonic() - begun < 10
    monkeypatch.setenv("PATH", os.environ["PATH"].partition(":")[2])
    assert sync_one(run).problem is None
    assert_all_there(server.the_only())


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


def _leave_messages_only(folder: RunFolder) -> Path:
    """Make of an archive what a killed process leaves, without `experiment.json`."""
    (archive,) = folder.path.glob("comet/attempt-1/*.zip")
    data = archive.with_name("data-left")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(data)
    (data / "experiment.json").unlink()
    return data


def test_the_last_line_of_a_killed_run_may_be_cut_off(server, run):
    data = _leave_messages_only(run)
    (archive,) = run.path.glob("comet/attempt-1/*.zip")
    with zipfile.ZipFile(archive, "w"):
        pass
    with (data / "messages.json").open("a") as messages:
        messages.write('{"payload":{"local_tim')
    assert sync_one(run).problem is None
    experiment = server.the_only()
    assert experiment.values("loss") == TEN
    assert experiment.project == "numbers"
    assert list(server.experiments) == [(run.path / "comet" / "experiment_key").read_text()]


def test_a_run_that_was_killed_while_comet_removed_what_it_had_archived_is_there_once(server, run):
    _leave_messages_only(run)
    assert sync_one(run).problem is None
    assert_all_there(server.the_only())


def test_an_empty_archive_without_its_messages_is_said_and_never_called_done(server, run):
    (archive,) = run.path.glob("comet/attempt-1/*.zip")
    with zipfile.ZipFile(archive, "w"):
        pass
    problem = sync_one(run).problem
    assert problem
    assert "the archive is empty: the experiment was not ended, and what it logged was on the node" in problem
    assert server.experiments == {}


def test_metrics_of_more_values_than_comet_sends_are_a_sample_and_the_receipt_says_so(server, newest, tmp_path):
    code = "import comet_ml\ne = comet_ml.start()\nfor n in range(15100):\n e.log_metric('many', n, step=n)"
    folder = make_run(tmp_path, newest, code)
    assert launch(folder).returncode == 0
    assert sync_one(folder).problem is None
    (described,) = read_receipt(folder)["experiments"]
    assert described["sampled"] == {"many": len(server.the_only().values("many"))} == {"many": 15000}


def test_status_and_report_say_what_is_true_of_a_comet_run(server, run):
    before = runferry("status", str(run.path))
    assert "not on the server yet" in before.stdout
    assert runferry("sync", str(run.path)).returncode == 0
    assert "not on the server yet" not in runferry("status", str(run.path)).stdout
    assert runferry("report", str(run.path.parent)).returncode == 0
    page = (run.path.parent / "report.html").read_text()
    assert "logs to Comet" in page
    assert server.url in page


def test_the_python_api_reads_the_receipt_of_a_comet_run(server, run):
    assert runferry("sync", str(run.path)).returncode == 0
    found = Run(run.path).receipt
    assert found is not None
    assert found.holds
    assert found.url.startswith(server.url)
    assert (found.state, found.history_lines, found.missing) == (None, None, ())
    assert len(found.segments) == 1


def test_comet_s_segments_are_not_cleaned_nor_watched(server, run):
    assert runferry("sync", str(run.path)).returncode == 0
    done = runferry("clean", "--older-than", "0d", str(run.path))
    assert "kept: runs that log to Comet are not cleaned" in done.stderr
    assert list(run.path.glob("comet/attempt-1/*.zip"))


def runferry(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runferry", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

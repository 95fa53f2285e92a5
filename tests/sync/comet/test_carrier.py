"""Runs that log to Comet, of real comet_ml in real launchers, brought by the real `comet upload` to a stand-in."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from runferry.api_run import Run
from runferry.errors import ServerError
from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.sync.outcome import Limits
from support.attempt_files import attempts_of
from support.comet_runs import LOG, QUICK, TEN, assert_all_there, die, launch, make_run, runferry, sync_one
from support.comet_standin import KEY


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


def test_attempts_of_a_run_are_one_experiment_in_their_order(server, newest, tmp_path):
    folder = make_run(
        tmp_path, newest, f"{LOG}\nif 'FIRST' not in os.environ:\n {die('SIGKILL').replace(chr(10), '; ')}"
    )
    assert launch(folder, LAST="4").returncode == 137
    assert launch(folder, FIRST="4").returncode == 0
    assert [attempt["segments"] for attempt in attempts_of(folder)] == [["attempt-1"], ["attempt-2"]]
    assert sync_one(folder).problem is None
    experiment = server.the_only()
    assert experiment.values("loss") == TEN
    assert experiment.steps("loss") == list(range(10))
    # It finished in the end.
    assert not any("attempt" in error for error in experiment.errors)


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
        f"{server.url}: refused the key found in COMET_API_KEY (HTTP 401), expected a valid one; run: comet login"
        in done.stderr
    )
    assert server.experiments == {}
    assert "wrong" not in done.stderr.replace("wrong key", "")


def test_without_a_key_what_to_type_is_said(server, run, monkeypatch):
    monkeypatch.delenv("COMET_API_KEY")
    done = runferry("sync", str(run.path))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("run: comet login")
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
    assert "found no program comet, expected that of comet_ml; run: pip install 'runferry[comet]'" in problem
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


def test_a_redirect_of_comets_server_is_not_followed(server, run):
    server.faults["experiment/metadata"] = 302
    with pytest.raises(ServerError, match=r"found a redirect to .* \(HTTP 302\)"):
        sync([run], QUICK)
    assert server.uploads() == 0

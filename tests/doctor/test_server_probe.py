"""`runferry doctor --server`: it says of a server what is true of it, whichever assumption of sync is turned."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from runferry.cli.doctor_server import _send
from runferry.cli.main import main
from runferry.doctor.server import assumptions, place, probe, questions, streamed_run
from runferry.doctor.server.assumptions import ASSUMPTIONS, BY_ID
from runferry.doctor.server.findings import finding
from runferry.doctor.server.made_up import ROWS, write_segment
from runferry.doctor.server.place import Patience
from runferry.doctor.server.probe import CLEAN_UP, ServerProbe, find_place
from runferry.doctor.server.synced_run import _wrong
from runferry.sync.outcome import SETTLE_SECONDS, Limits
from runferry.sync.wandb import comparison, file_stream, row_comparison
from runferry.trackers.wandb import server as trackers_server
from runferry.trackers.wandb.server import Server
from runferry_standin import running
from runferry_standin.assumptions import TURNED
from support.doctored import KEY, one
from support.paths import ROOT

SYNCED, STREAMED = RUNS = ("doctor-tried-synced", "doctor-tried-streamed")
PROJECT = "runferry-doctor"
# A stand-in shows at once what it will show at all.
QUICK = Patience(showing=0.5, steady=0.2, pause=0.05)


@pytest.fixture
def standin():
    with running(key=KEY, lag=0) as server:
        yield server


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folders of segments that wandb has written, by the number of their first row: always the same, so once."""
    return {first: tmp_path_factory.mktemp(f"first-{first}") / "as-written" for first in (0, ROWS)}


@pytest.fixture
def copied(written, monkeypatch):
    """Take copies of what wandb has written before."""

    def write(segment, folder):
        if not written[segment.first].exists():
            write_segment(segment, written[segment.first])
        shutil.copytree(written[segment.first], folder)
        return next(folder.glob("wandb/offline-run-*"))

    monkeypatch.setattr(probe, "write_segment", write)
    monkeypatch.setattr(probe.secrets, "token_hex", lambda _bytes: "tried")


@pytest.fixture
def try_it(standin, copied):
    """Give a function that tries the stand-in as it is then, and returns the probe."""

    def run(patience=QUICK):
        server = Server(standin.url, KEY, "the test")
        shown, said = [], []
        tried = ServerProbe(find_place(server, None, PROJECT, patience), _send, shown.extend, said.append)
        assert tried.runs == RUNS
        tried.try_all()
        assert shown == tried.findings
        return tried

    return run


def by_mark(tried):
    found = {}
    for each in tried.findings:
        found.setdefault(each.mark, set()).add(each.what)
    return {mark: names - {CLEAN_UP} for mark, names in found.items() if names - {CLEAN_UP}}


def test_the_assumptions_are_the_same_in_the_doctor_the_stand_in_and_the_docs():
    page = (ROOT / "docs" / "how-it-works.md").read_text()
    (table,) = re.findall(r"\n\| assumption \|.*\n\| ---.*\n((?:\|.*\n)+)", page)
    documented = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    ids = [assumption.id for assumption in ASSUMPTIONS]
    assert documented == ids == list(TURNED)
    # Each is at an arrow of the diagram's table, too.
    (arrows,) = re.findall(r"\n\| arrow \|.*\n\| ---.*\n((?:\|.*\n)+)", page)
    assert set(re.findall(r"`(\w+)`", arrows)) == set(ids)


def test_what_is_tried_is_what_sync_does():
    assert assumptions.ROWS_PER_REQUEST == row_comparison.ROWS_PER_REQUEST == file_stream.LINES_PER_REQUEST
    assert place.FARTHEST_STEP == row_comparison.FARTHEST_STEP
    assert assumptions.LONGEST_LAG == SETTLE_SECONDS
    assert Limits().patience == assumptions.PATIENCE
    assert assumptions.NAMES == trackers_server.RUNS_PER_LOOK
    assert assumptions.SLOW_SECONDS == trackers_server.SLOW_SECONDS
    assert assumptions.DOTS == comparison.SUMMARY_DOTS


@pytest.mark.slow
def test_of_a_server_with_wandbs_lag_all_hold_and_nothing_of_this_machine_is_sent(standin, try_it):
    standin.behave(lag=0.5)
    standin.faults({"match": "graphql:DeleteRun", "status": 403})
    tried = try_it(Patience(showing=6.0, steady=0.8, pause=0.05))

    assert by_mark(tried) == {"ok": BY_ID.keys() - {"limit"}, "info": {"limit"}}
    # From the server's answer on, which may have taken a while.
    assert 0.2 < tried.lags["rows of the file stream"] < 6
    assert 0.2 < tried.lags["last step of the file stream"] < 6

    # Both are left, and it says where.
    left = one(tried.findings, CLEAN_UP).found
    assert standin.runs("demo", PROJECT) == [STREAMED, SYNCED]
    assert all(f"{standin.url}/demo/{PROJECT}/runs/{run}" in left for run in RUNS)
    fields = "name host jobType group commit config summaryMetrics wandbConfig history displayName notes tags"
    query = f'{{ project(name: "{PROJECT}") {{ runs {{ edges {{ node {{ {fields} }} }} }} }} }}'
    everything = json.dumps([standin.graphql(query), [standin.run("demo", PROJECT, run) for run in RUNS]])
    assert "a made-up line" in everything
    for private in (socket.gethostname(), str(Path.cwd()), str(Path.home()), sys.executable):
        assert private not in everything
    assert re.search(rf"\b{getpass.getuser()}\b", everything) is None


@pytest.mark.slow
def test_many_that_are_turned_at_once_are_all_said_and_no_others(standin, try_it):
    turned = {
        "gaps",
        "history_end",
        "longest_history",
        "most_names",
        "longest_page",
        "largest_request",
        "summary_nan",
        "integers",
        "summary_dots",
        "states",
        "files_lag",
        "limit",
    }
    standin.turn(*turned)
    tried = try_it()

    marks = by_mark(tried)
    assert marks.pop("ok") == BY_ID.keys() - turned
    assert marks["problem"] == {name for name in turned if BY_ID[name].relied_on}
    assert marks["differs"] == turned - marks["problem"]
    found = {each.what: each.found for each in tried.findings}
    assert "kept at its offset" in found["gaps"]
    assert "steps 0 to 10" in found["history_end"]
    assert "500 of 1000 rows" in found["longest_history"]
    assert "HTTP 413" in found["largest_request"]
    assert found["summary_nan"] == "nan: null, infinity: null"
    assert found["integers"] == "rows: as a double, summary: as a double, config: as a double"
    assert found["summary_dots"].startswith("kept to 3 dots")
    assert "running: shown as finished" in found["states"]
    assert standin.runs("demo", PROJECT) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "others"),
    [
        (
            {
                # The second comes at the offsets of the first, where lines are appended to what is there.
                "segments": "40 rows, of 40: the steps are 0 to 19",
                "resent": "there as well as the old one; 1001 rows, of 1000",
            },
            {"gaps", "lag"},
        ),
        (
            {"rows": "of 20: "},
            {"segments", "integers", "longest_history", "resent", "gaps", "largest_request", "history_end"},
        ),
        (
            {"lag": "not within 0.5 s: rows of wandb sync, "},
            {"rows_lag", "segments", "integers", "largest_request", "summary_nan", "summary_dots"},
        ),
        (
            {"redirects": "found a redirect to"},
            BY_ID.keys() - {"most_names", "longest_page", "heavy_run_seconds", "limit"},
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_turned_is_said(standin, try_it, said, others):
    standin.turn(*said)
    tried = try_it()

    for name, words in said.items():
        about = one(tried.findings, name)
        assert about.mark == "problem"
        assert words in about.found
    wrong = {each.what for each in tried.findings if not each.as_expected}
    assert wrong - said.keys() <= others
    assert standin.runs("demo", PROJECT) == []
    # Whatever happens, each is said once.
    assert sorted({*BY_ID, CLEAN_UP}) == sorted(each.what for each in tried.findings)


@pytest.mark.slow
def test_a_tail_that_is_stale_is_said_and_does_no_harm_where_the_count_is_right(standin, try_it):
    standin.behave(lag=120, lag_of="summary")
    tried = try_it()

    marks = by_mark(tried)
    assert marks.pop("problem") == {"lag"}
    assert marks.pop("unknown") == {"integers", "summary_dots", "summary_nan"}
    assert "segments" in marks["ok"]
    assert tried.lags["rows of wandb sync"] is not None
    assert tried.lags["last step of wandb sync"] is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"number": 4}, "3 rows, of 3: 1 missing, 1 of nobody here"),
        ({"number": 2}, "3 rows, of 3: 1 missing, 1 twice"),
        ({"big": 1}, "3 rows, of 3: 1 with another value"),
        ({"big": float(2**53 + 1)}, ""),
        ({"_step": 7}, "3 rows, of 3: the steps are 0 to 2, with 3 different ones"),
    ],
)
def test_what_is_wrong_with_rows_is_said(changed, said):
    rows = [{"_step": number, "number": number, "big": 2**53 + 1} for number in range(3)]
    rows[1] |= changed
    assert _wrong(rows, 3) == said


@pytest.mark.parametrize(
    ("behaviour", "mark", "said"),
    [
        ({"heavy_run_seconds": 0.0}, "ok", "2 runs"),
        ({"heavy_run_seconds": 0.6}, "differs", "2 runs"),
    ],
)
def test_heavy_lists_are_timed(standin, behaviour, mark, said):
    standin.behave(**behaviour)
    where = find_place(Server(standin.url, KEY, "the test"), None, PROJECT, replace(QUICK, slow=1.0))
    for run in RUNS:
        where.upsert(run)
    found = questions.heavy(where, RUNS)
    assert found.mark == mark
    assert said in found.found


@pytest.mark.parametrize(
    ("behaviour", "mark", "said"),
    [
        ({}, "ok", "can be read when they are counted"),
        ({"rows_lag": 5}, "differs", "0 of the last 10 rows when they are counted, all not within 0.5 s"),
        ({"lag": 120, "lag_of": "counts"}, "unknown", "10 of the last 10 rows, when they are not counted yet"),
    ],
)
def test_rows_that_show_later_than_the_counts_are_said(standin, behaviour, mark, said):
    standin.behave(**behaviour)
    where = find_place(Server(standin.url, KEY, "the test"), None, PROJECT, QUICK)
    where.upsert(STREAMED)
    found = streamed_run.begin(where, STREAMED, {})
    assert found.mark == mark
    assert said in found.found


@pytest.mark.slow
def test_the_command_says_it_line_by_line_and_writes_a_file_without_the_key(standin, copied, monkeypatch, capsys):
    monkeypatch.setattr(probe, "Patience", lambda: QUICK)
    for name, value in standin.environment.items():
        monkeypatch.setenv(name, value)
    code = main(["doctor", "--server"])

    said, file = capsys.readouterr(), Path("runferry-doctor-server.json")
    assert code == 0, said
    record = json.loads(file.read_text())
    assert {each["what"] for each in record["findings"] if each["mark"] == "ok"} == BY_ID.keys() - {"limit"}
    assert all(f"server: {each['what']}: " in said.out for each in record["findings"])
    assert "of 19 assumptions 18 hold, 1 did not come up (limit); runferry-doctor-server.json" in said.err
    assert "sending the second segment" in said.err
    assert standin.runs("demo", PROJECT) == []
    assert KEY not in file.read_text() + said.out + said.err


def test_one_that_does_not_hold_is_exit_code_1_and_the_file_is_fit_to_be_shown(standin, monkeypatch, capsys):
    def try_all(self):
        self.lags["rows"] = None
        said = f"refused {KEY} at {standin.url} by {getpass.getuser()}"
        self.findings.extend([finding("rows", said, holds=False), finding("lag", "after 2.0 s", holds=True)])

    monkeypatch.setattr(ServerProbe, "try_all", try_all)
    for name, value in standin.environment.items():
        monkeypatch.setenv(name, value)
    Path("runferry-doctor-server.json").write_text("an earlier one")
    assert main(["doctor", "--server", "--json"]) == 1

    said = capsys.readouterr()
    record = json.loads(Path("runferry-doctor-server-2.json").read_text())
    assert json.loads(said.out) == record
    assert (record["server"], record["wandbs_own"], record["lags"]) == (standin.url, False, {"rows": None})
    rows, lag = record["findings"]
    assert rows["found"] == f"refused <removed> at {standin.url} by <user>"
    assert rows["assumed"] == BY_ID["rows"].says
    assert (rows["mark"], lag["mark"]) == ("problem", "ok")
    assert "of 2 assumptions 1 hold, 1 do not (rows); runferry-doctor-server-2.json" in said.err
    assert Path("runferry-doctor-server.json").read_text() == "an earlier one"


def test_a_project_that_the_key_may_not_write_to_is_one_line(standin, monkeypatch, capsys):
    standin.faults({"match": "graphql:RunferryDoctorUpsert", "status": 403})
    for name, value in standin.environment.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", "--server"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "refused the key found in WANDB_API_KEY (HTTP 403), expected one that may write there" in said.err
    assert "deleting" not in said.err


@pytest.mark.slow
def test_ctrl_c_deletes_what_it_made(standin):
    command = [sys.executable, "-m", "runferry", "doctor", "--server"]
    standin.turn("lag")
    with subprocess.Popen(command, env=os.environ | standin.environment, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while len(standin.runs("demo", PROJECT)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        made = standin.runs("demo", PROJECT)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert len(made) == 2
    assert process.returncode == 130
    assert "deleting the two runs" in said
    assert "Traceback" not in said
    assert standin.runs("demo", PROJECT) == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WANDB_API_KEY": "0" * 40}, "refused the key found in WANDB_API_KEY"),
        ({"WANDB_BASE_URL": "http://127.0.0.1:1"}, "found no answer"),
        ({"WANDB_API_KEY": ""}, "found no key"),
    ],
)
def test_a_wrong_key_or_no_network_is_one_line(standin, monkeypatch, capsys, variables, said):
    for name, value in {**standin.environment, **variables}.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", "--server"]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("runferry: doctor: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert list(Path.cwd().glob("runferry-doctor*")) == []


def test_a_question_that_is_redirected_is_one_line_and_the_key_goes_nowhere_else(standin, monkeypatch, capsys):
    with running(key=KEY, lag=0) as other:
        standin.faults({"match": "*", "status": 307, "location": f"{other.url}{{path}}"})
        for name, value in standin.environment.items():
            monkeypatch.setenv(name, value)
        assert main(["doctor", "--server"]) == 1
        assert other.requests()["total"] == 0
    assert f"found a redirect to {other.url}/graphql" in capsys.readouterr().err

"""`runferry status`: what it says of folders as the launcher, the sync and Slurm's commands leave them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runferry.cli.main import main
from runferry.report.status import segments
from runferry.report.status.look import Looking
from runferry.report.status.queue import Asking
from runferry.report.status.screen import cut
from runferry.report.status.text import Style, lines
from runferry.runs import slurm
from runferry.runs.folder import RunFolder, find_run_folders
from runferry.runs.receipt_stamp import logs_on_disk, stamp
from runferry.system.files import read_json
from runferry.trackers.wandb.log import tail
from sample_experiment import write, write_attempt, write_log_of, write_receipt, write_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = [{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.75}]
SERVER = "http://127.0.0.1:1"
PLAIN = Style(colours=False)


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A laptop; a test that wants a queue makes one."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("CC_CLUSTER", "SCRATCH", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    return tmp_path / "results" / "digits"


def run_of(experiment: Path, name: str, outcome: str | None, rows: list[dict[str, Any]] = ROWS, **more: Any) -> Path:
    """A run with one segment of `rows` whose last attempt ended as `outcome`; None for one that never began."""
    folder = experiment / name
    wandb = {"project": "digits", "base_url": SERVER}
    write_run(folder, f"lr={name}", {}, wandb=wandb)
    if outcome:
        write_attempt(folder, 1, outcome, **more)
        write_log_of(folder, rows)
    return folder


def with_receipt(folder: Path, history_lines: int = len(ROWS)) -> None:
    """The server holds just what is on disk now."""
    logs = logs_on_disk(str(folder))
    entries = [{"name": name, **stamp(file)} for name, file in logs.items()]
    counted = {"history_lines": history_lines}
    write_receipt(folder, base_url=SERVER, segments=entries, unreadable={}, server=counted)


def squeue(tmp_path: Path, *jobs: str, exit_code: int = 0) -> Path:
    """Put a `squeue` on PATH that lists `<id>|<state>|<reason>|<rest of the plugin's comment>`; return its calls."""
    script = tmp_path / "bin" / "squeue"
    listed = [f"{job}|{tmp_path}".replace("|train_", "|rule_train_") for job in jobs]
    printed = "".join(f"echo '{line}'\n" for line in listed)
    script.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n{printed}exit {exit_code}\n')
    script.chmod(0o755)
    return tmp_path / "asked"


def status(experiment: Path, **options: Any) -> Any:
    return Looking(**options).look(find_run_folders(experiment.parent))


def shown(experiment: Path, **options: Any) -> str:
    return "\n".join(lines(status(experiment, **options), PLAIN))


def test_runs_are_counted_by_the_states_of_the_plan(experiment: Path) -> None:
    run_of(experiment, "a", None)
    run_of(experiment, "b", "failed", reason="failed", message="ValueError: no data")
    run_of(experiment, "c", "finished")
    with_receipt(run_of(experiment, "d", "finished"))
    # Another machine's process cannot be looked at.
    run_of(experiment, "e", "running", host="elsewhere", pid=1)
    assert dict(status(experiment).states) == {"to do": 1, "failed": 1, "unsynced": 1, "done": 1, "running": 1}
    header, row = shown(experiment).splitlines()[:2]
    assert header.split() == ["runs", "to", "do", "running", "failed", "unsynced", "done"]
    assert row.split() == ["digits", "5", "1", "1", "1", "1", "1"]


def test_a_receipt_of_less_than_is_on_disk_is_no_done_run_and_its_new_rows_are_counted(experiment: Path) -> None:
    folder = run_of(experiment, "a", "finished")
    with_receipt(folder)
    write_log_of(folder, ROWS[:1], start=1772359300.0)
    found = status(experiment)
    assert dict(found.states) == {"unsynced": 1}
    assert [run.unsynced_rows for run in found.runs] == [1], "the receipt speaks of the other two"


def test_the_metric_of_the_sweep_is_shown_with_its_best_and_newest_value(experiment: Path) -> None:
    write(experiment / "sweep.json", {"metric": {"name": "accuracy", "goal": "maximize"}})
    good, newest = run_of(experiment, "good", "finished"), run_of(experiment, "new", "finished", ROWS[:1])
    old = time.time() - 100
    for log in good.glob("wandb/*/*.wandb"):
        os.utime(log, (old, old))
    assert "accuracy 0.5 (new), best 0.75 (good)" in shown(experiment)
    found = status(experiment).as_json()["experiments"][0]["metric"]
    assert found["newest"] == {"run": newest.name, "value": 0.5}
    assert found["best"] == {"run": good.name, "value": 0.75}
    assert "loss 1 (new)" in shown(experiment, metric="loss")
    assert "typo: none yet" in shown(experiment, metric="typo")


def test_the_last_value_is_found_at_the_end_of_a_long_log_without_reading_its_beginning(
    experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"epoch": 1.0}, *({"loss": 1.0 / (1 + step)} for step in range(4000)), {"accuracy": 0.9}]
    folder = RunFolder(run_of(experiment, "a", "finished", rows))
    assert segments.last_value(folder, "accuracy") == 0.9
    assert segments.last_value(folder, "loss") == 1.0 / 4000
    assert segments.last_value(folder, "epoch") == 1.0
    monkeypatch.setattr(segments, "_BLOCKS", (1,))
    assert segments.last_value(folder, "epoch") is None, "it is before the last block"


def test_metrics_that_are_no_numbers_are_none_and_nan_is_said(experiment: Path) -> None:
    write(experiment / "sweep.json", {"metric": {"name": "loss", "goal": "minimize"}})
    run_of(experiment, "a", "finished", [{"loss": "low"}])
    assert "loss: none yet" in shown(experiment)
    run_of(experiment, "b", "finished", [{"loss": float("nan")}])
    assert "loss nan (b)" in shown(experiment)
    assert '"NaN"' not in json.dumps(status(experiment).as_json(), allow_nan=False)


def test_a_failed_run_is_shown_with_the_last_lines_of_its_own_log_and_where_the_rest_is(experiment: Path) -> None:
    folder = run_of(experiment, "a", "failed", reason="failed", message="ValueError: no data")
    log = "runferry: attempt 1 of run a on n1\nearlier\nrunferry: attempt 2 of run a on n1\n10%\r20%\none\nwandb: bye\n"
    (folder / "train.log").write_text(f"{log}ValueError: no data\nrunferry: run a failed\n")
    text = shown(experiment)
    assert (
        f"failed: digits/a (lr=a): ValueError: no data\n    | 20%\n    | one\n    all of it: {folder}/train.log" in text
    )
    assert "earlier" not in text
    assert status(experiment).as_json()["failures"][0]["last_lines"] == ["20%", "one", "ValueError: no data"]


def test_the_last_failures_come_first_and_not_all_of_a_thousand(experiment: Path) -> None:
    for number in range(8):
        run_of(experiment, f"r{number}", "failed", reason="failed", end=f"2026-03-0{number + 1}T10:00:00+00:00")
    text = shown(experiment)
    assert text.index("digits/r7 ") < text.index("digits/r6 ")
    assert "digits/r2 " not in text
    assert "and 3 more failed" in text


def test_the_queue_says_what_runs_and_why_the_rest_waits(experiment: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        run_of(experiment, name, None)
    other = run_of(tmp_path / "results" / "digits_2", "z", None)
    squeue(
        tmp_path,
        "1|RUNNING|None|train_wildcards_digits_a",
        "2|PENDING|Priority|train_wildcards_digits_b",
        "3|PENDING|Priority|train_pack_wildcards_digits_k3j9",
        "4|PENDING|ReqNodeNotAvail, UnavailableNodes:nc[1-3]|train_wildcards_digits_d",
        "5|PENDING|Unheard|train_wildcards_digits_2_z",
        "6|PENDING|Priority|rule_other_wildcards_digits_a",
        "7|FAILED|None|train_wildcards_digits_c",
        "8|PENDING|Resources|",
    )
    text = shown(experiment)
    assert (
        "queue: 1 running, 4 waiting: 2 Priority (jobs of a higher priority come first), 1 ReqNodeNotAvail, "
        "UnavailableNodes:nc[1-3] (the nodes that it could have are down or reserved, as for maintenance), 1 Unheard"
    ) in text
    found = {each["name"]: each["jobs"] for each in status(experiment).as_json()["experiments"]}
    assert [job["of"] for job in found["digits"]] == ["a", "b", "k3j9", "d"]
    assert [job["of"] for job in found[other.parent.name]] == ["z"]


def test_the_jobs_of_another_folder_are_not_counted(experiment: Path, tmp_path: Path) -> None:
    run_of(experiment, "a", None)
    squeue(tmp_path, "1|RUNNING|None|train_wildcards_digits_a|/elsewhere")
    assert "queue: no job of these experiments" in shown(experiment)


def test_a_run_whose_job_is_gone_without_a_word_is_lost(experiment: Path, tmp_path: Path) -> None:
    run_of(experiment, "a", "running", host="elsewhere", pid=1, job="17")
    assert dict(status(experiment).states) == {"running": 1}, "nobody can say without Slurm"
    squeue(tmp_path)
    text = shown(experiment)
    assert "lost: digits/a (lr=a)" in text
    squeue(tmp_path, "17|RUNNING|None|train_wildcards_digits_a")
    assert dict(status(experiment).states) == {"running": 1}


@pytest.mark.parametrize(
    ("exit_code", "said"), [(None, "there is no Slurm on this machine"), (1, "Slurm does not answer")]
)
def test_it_works_without_slurm_and_says_so(exit_code: int | None, said: str, experiment: Path, tmp_path: Path) -> None:
    run_of(experiment, "a", "running", host="elsewhere", pid=1, job="17")
    if exit_code is not None:
        squeue(tmp_path, exit_code=exit_code)
    assert said in shown(experiment)
    found = status(experiment)
    assert dict(found.states) == {"running": 1}
    assert found.as_json()["slurm"] == {"here": exit_code is not None, "answered": False}


def test_slurm_is_not_asked_again_before_half_a_minute_is_over(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(experiment, "a", None)
    asked = squeue(tmp_path)
    looking = Looking(asking=Asking(interval=0.1))
    for _ in range(5):
        looking.look(find_run_folders(experiment))
    assert len(asked.read_text().splitlines()) == 1
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 31)
    looking.look(find_run_folders(experiment))
    assert len(asked.read_text().splitlines()) == 2


def test_squeue_is_asked_for_the_reason(tmp_path: Path) -> None:
    squeue(tmp_path, "1|PENDING|QOSMaxJobsPerUserLimit|train_wildcards_digits_a")
    [job] = slurm.queued_jobs() or []
    assert (job.reason, job.comment, job.folder) == (
        "QOSMaxJobsPerUserLimit",
        "rule_train_wildcards_digits_a",
        str(tmp_path),
    )


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int]]:
    """Each reading of a log for its rows, with the byte that it began at."""
    found: list[tuple[Path, int]] = []

    class Counted(tail.LogTail):
        def __iter__(self) -> Any:
            found.append((self.path, self.position))
            return super().__iter__()

    monkeypatch.setattr(segments, "LogTail", Counted)
    return found


def test_what_has_not_changed_is_not_read_again(experiment: Path, reads: list[tuple[Path, int]]) -> None:
    run_of(experiment, "a", "finished")
    with_receipt(run_of(experiment, "b", "finished"))
    assert status(experiment).as_json()["unsynced_rows"] == 2
    assert [file.parent.parent.parent.name for file, _ in reads] == ["a"], "a run with a receipt is not read"
    assert status(experiment).as_json()["unsynced_rows"] == 2
    assert len(reads) == 1, "not in a process of its own, either"


def test_of_a_log_that_has_grown_only_the_new_part_is_read(experiment: Path, reads: list[tuple[Path, int]]) -> None:
    folder = run_of(experiment, "a", "running", [*ROWS, *ROWS], host="elsewhere", pid=1)
    [log] = folder.glob("wandb/*/*.wandb")
    whole = log.read_bytes()
    log.write_bytes(whole[:-40])
    looking = Looking()
    first = looking.look(find_run_folders(experiment)).as_json()["unsynced_rows"]
    log.write_bytes(whole)
    second = looking.look(find_run_folders(experiment))
    assert (first, second.as_json()["unsynced_rows"]) == (3, 4)
    assert reads[0][1] == 0
    assert reads[1][1] > 0
    assert not second.damaged, "a record that is being written is no damage"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: whole[:-5], "the end is cut off"),
        (lambda whole: b"", "no record in 0 bytes"),
        (lambda whole: whole[:7], "no record in 7 bytes"),
        (lambda whole: b"something else", "not a W&B transaction log"),
        (lambda whole: whole[:60] + b"xxxx" + whole[64:], "unreadable in"),
    ],
)
def test_damaged_segments_are_named_at_every_look(
    content: Callable[[bytes], bytes], said: str, experiment: Path
) -> None:
    folder = run_of(experiment, "a", "failed", reason="killed")
    [log] = folder.glob("wandb/*/*.wandb")
    log.write_bytes(content(log.read_bytes()))
    for _ in range(2):
        assert said in status(experiment).damaged[str(log.parent)]
    assert f"damaged: {log.parent}: " in shown(experiment)


def test_rows_that_live_sync_has_sent_are_not_unsynced(experiment: Path) -> None:
    folder = run_of(experiment, "a", "running", host="elsewhere", pid=1)
    write(folder / "live.json", {"rows": 1})
    assert [run.unsynced_rows for run in status(experiment).runs] == [1]


def test_what_was_deleted_after_the_server_had_it_is_not_unsynced_nor_does_it_hide_what_is(experiment: Path) -> None:
    folder = run_of(experiment, "a", "failed", reason="failed")
    with_receipt(folder, history_lines=10)
    cleaned = dict.fromkeys(("date", "run_id", "entity", "project", "state"), "x")
    counts = {"history_lines": 10, "last_step": 9, "event_lines": 0, "output_lines": 0}
    write(
        folder / "cleaned.json",
        {**cleaned, **counts, "summary": {}, "config": {}, "segments": [], "files": [], "artifacts": []},
    )
    write_log_of(folder, ROWS[:1], start=1772359300.0)
    assert [run.unsynced_rows for run in status(experiment).runs] == [len(ROWS) + 1]


def test_a_run_that_cannot_be_read_hides_no_other(experiment: Path) -> None:
    folder = run_of(experiment, "a", "finished")
    run_of(experiment, "b", "finished")
    (folder / "run.json").write_text("{")
    found = status(experiment)
    assert len(found.runs) == 2
    assert "expected JSON" in found.damaged[str(folder)]


def test_a_results_folder_of_somebody_else_can_be_looked_at(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(experiment, "a", "finished")

    def refused(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(segments, "write_json", refused)
    assert status(experiment).as_json()["unsynced_rows"] == 2


def test_json_says_the_same_and_a_typo_is_one_line(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(experiment, "a", "finished")
    assert main(["status", "--json", str(experiment.parent)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["states"]["unsynced"] == 1
    assert found["experiments"][0]["name"] == "digits"
    assert main(["status", str(experiment.parent / "digts")]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [(True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_whose_person_wants_them(
    terminal: bool, variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    class Stream:
        def isatty(self) -> bool:
            return terminal

    assert Style.of(Stream()).colours is coloured  # type: ignore[arg-type]


def test_a_line_that_is_too_long_for_the_terminal_is_cut_without_its_colours_counting() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("\x1b[31mabc\x1b[0m", 3) == "\x1b[31mabc\x1b[0m"
    assert cut("\x1b[31mabcd\x1b[0m", 3) == "\x1b[31mab…\x1b[0m"


@pytest.fixture
def _with_sigint() -> Iterator[None]:
    """Let what is started get a SIGINT, which a shell's background job inherits as ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_with_sigint")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_watched_screen_is_refreshed_in_place_and_the_terminal_given_back(
    number: signal.Signals, experiment: Path
) -> None:
    run_of(experiment, "a", None)
    master, slave = os.openpty()
    words = [sys.executable, "-m", "runferry", "status", "--watch", "--interval=0.2", str(experiment.parent)]
    process = subprocess.Popen(words, stdout=slave, stderr=slave)
    os.close(slave)
    screen = _read_until(master, lambda text: text.count("\x1b[H") >= 2 and "to do" in text)
    write_attempt(experiment / "a", 1, "finished")
    screen += _read_until(master, lambda text: "unsynced" in text.split("\x1b[H")[-1])
    process.send_signal(number)
    rest = _read_until(master, lambda text: text is None)
    assert process.wait(10) == (0 if number == signal.SIGINT else 128 + signal.SIGTERM)
    assert screen.startswith("\x1b[?1049h\x1b[?25l")
    assert "Ctrl-C ends it" in screen
    assert "\x1b[?25h\x1b[?1049l" in rest
    assert ("digits" in rest.split("\x1b[?1049l")[1]) is (number == signal.SIGINT), "what was seen last stays"
    assert "Traceback" not in rest


def _read_until(terminal: int, enough: Callable[[Any], bool]) -> str:
    text = ""
    while not (text and enough(text)):
        assert select.select([terminal], [], [], 60)[0], f"nothing more for a minute after {text!r}"
        try:
            more = os.read(terminal, 65536).decode()
        except OSError:
            # The other side has closed it.
            break
        if not more:
            break
        text += more
    return text


@pytest.mark.usefixtures("_with_sigint")
def test_watching_without_a_terminal_prints_an_object_a_line(experiment: Path) -> None:
    run_of(experiment, "a", None)
    words = [sys.executable, "-m", "runferry", "status", "--watch", "--json", "--interval=0.1", str(experiment.parent)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert [each["states"]["to do"] for each in found] == [1, 1]
    assert process.returncode == 0


def test_what_is_kept_between_two_looks_is_small(experiment: Path) -> None:
    run_of(experiment, "a", "finished")
    status(experiment)
    kept = read_json(experiment.parent / ".sync" / "status.json")
    assert len(kept["segments"]) == 1

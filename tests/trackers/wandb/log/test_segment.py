from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from runferry.errors import SegmentError
from runferry.trackers.wandb.log.framing import HEADER, TransactionLog, write_log
from runferry.trackers.wandb.log.messages import parser
from runferry.trackers.wandb.log.segment import Segment, find_log, history, read_segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# Logs what a training script may log, and more; argument: the exit code.
SCRIPT = """
import sys
import wandb
run = wandb.init(
    project="digits", entity="lab", group="first", name='lr "0.1" é', tags=["a b", "c"], id="k3j9",
    config={"lr": 0.1, "optimizer": {"name": "adam", "betas": [0.9, 0.99]}},
)
for step in range(10):
    run.log({
        "loss": 1 / (step + 1), "val/acc": step, "nested": {"a": step, "b": {"c": "text"}},
        "nan": float("nan"), "above": float("inf"), "below": float("-inf"), "flag": True, "none": None,
        'quoted "key", é': "a,b],[",
    })
run.log({"loss": 5.0}, step=50)
run.log({"left": 1}, step=60, commit=False)
run.log({"right": 2}, step=60)
run.config.update({"late": [1, None]})
run.summary["best"] = 3
run.summary["deep"] = {"er": {"value": 1}}
run.summary["gone"] = 1
del run.summary["gone"]
open("model.txt", "w").write("weights")
run.save("model.txt")
sys.exit(int(sys.argv[1]))
"""


def write(python: Path | str, folder: Path, script: str, *arguments: str, **variables: str) -> Path:
    """Run `script` with wandb offline in `folder` and return the segment that it wrote."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), **variables}
    subprocess.run([python, "-c", script, *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    (segment,) = folder.glob("wandb/offline-run-*")
    return segment


@pytest.fixture(scope="module")
def folder(version: str, wandb_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    begun = tmp_path_factory.mktemp(f"segment-{version}")
    return write(wandb_python(version), begun, SCRIPT, "0", WANDB_RESUME="allow")


@pytest.fixture(scope="module")
def segment(folder: Path) -> Segment:
    return read_segment(folder)


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    return list(history(folder))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The log of 50 rows, to be damaged."""
    script = "import wandb\nwith wandb.init(project='p') as run:\n  for i in range(50): run.log({'loss': i})"
    return find_log(write(sys.executable, tmp_path, script))


def test_a_segment_says_which_run_it_belongs_to(segment: Segment, folder: Path, version: str) -> None:
    assert (segment.name, segment.folder) == (folder.name, folder)
    assert segment.file == folder / "run-k3j9.wandb"
    assert segment.size_bytes == segment.file.stat().st_size
    assert (segment.run_id, segment.entity, segment.project, segment.group) == (
        "k3j9",
        "lab",
        "digits",
        "first",
    )
    assert (segment.display_name, segment.tags) == ('lr "0.1" é', ("a b", "c"))
    assert segment.wandb_version == version
    assert segment.started is not None
    assert abs((datetime.now(UTC) - segment.started).total_seconds()) < 3600
    assert not segment.empty


def test_only_wandb_from_0_31_on_records_that_a_run_may_be_resumed(segment: Segment, version: str) -> None:
    assert segment.resume == (version == "0.31.0")


def test_every_row_is_counted(segment: Segment, folder: Path) -> None:
    assert segment.history_count == len(list(history(folder))) == len(list(history(segment.file))) == 12
    assert segment.last_step == 60
    assert (segment.damage, segment.lost_records) == (None, 0)


def test_rows_come_in_order_with_their_values(rows: list[dict[str, Any]]) -> None:
    assert [row["_step"] for row in rows] == [*range(10), 50, 60]
    assert [row["loss"] for row in rows[:11]] == [*(1 / (step + 1) for step in range(10)), 5.0]
    assert [row["val/acc"] for row in rows[:10]] == list(range(10))
    assert all(row["_runtime"] >= 0 and row["_timestamp"] > 1.7e9 for row in rows)
    assert (rows[-1]["left"], rows[-1]["right"]) == (1, 2)


def test_a_row_holds_what_json_can_hold_and_more(rows: list[dict[str, Any]]) -> None:
    row = rows[3]
    assert math.isnan(row["nan"])
    assert (row["above"], row["below"]) == (math.inf, -math.inf)
    assert (row["flag"], row["none"]) == (True, None)
    assert row['quoted "key", é'] == "a,b],["
    assert (row["nested.a"], row["nested.b.c"]) == (3, "text")


def test_the_summary_is_the_one_that_wandb_would_show(segment: Segment) -> None:
    summary = segment.summary
    assert (summary["loss"], summary["left"], summary["right"], summary["best"]) == (5.0, 1, 2, 3)
    assert summary["nested"] == {"a": 9, "b": {"c": "text"}}
    assert summary["deep"] == {"er": {"value": 1}}
    assert summary["_step"] == 60
    assert "gone" not in summary


def test_the_config_is_the_users(segment: Segment) -> None:
    expected = {"lr": 0.1, "optimizer": {"name": "adam", "betas": [0.9, 0.99]}, "late": [1, None]}
    assert segment.config == expected


def test_saved_files_are_listed(segment: Segment) -> None:
    assert "model.txt" in segment.files
    assert (segment.folder / "files" / "model.txt").exists()


def test_the_end_of_a_run_is_told_from_its_absence(
    segment: Segment, version: str, wandb_python: Callable[[str], Path], tmp_path: Path
) -> None:
    assert segment.exit_code == 0
    assert read_segment(write(wandb_python(version), tmp_path, SCRIPT, "3")).exit_code == 3
    (tmp_path / "cut").mkdir()
    cut = tmp_path / "cut" / "run-k3j9.wandb"
    write_log(cut, list(TransactionLog(segment.file))[:-1])
    assert read_segment(cut).exit_code is None


def test_everything_is_as_wandbs_own_reader_has_it(wandb_python: Callable[[str], Path], tmp_path: Path) -> None:
    python = wandb_python("0.22.3")
    folder = write(python, tmp_path, SCRIPT, "0")
    script = """
import json, sys
from wandb.proto import wandb_internal_pb2
from wandb.sdk.internal.datastore import DataStore
store = DataStore()
store.open_for_scan(sys.argv[1])
rows = []
while (data := store.scan_data()) is not None:
    record = wandb_internal_pb2.Record.FromString(data)
    if record.WhichOneof("record_type") == "history":
        items = record.history.item
        row = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
        rows.append([record.history.step.num, row])
print(json.dumps(rows))
"""
    command = [python, "-c", script, find_log(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    theirs = json.loads(done.stdout)
    ours = list(history(folder))
    # As text, because NaN is not equal to itself.
    assert json.dumps([row for _, row in theirs], sort_keys=True) == json.dumps(ours, sort_keys=True)
    assert [step for step, _ in theirs] == [row["_step"] for row in ours]


@pytest.mark.parametrize("content", [b"", HEADER[:4], HEADER], ids=["0 bytes", "4 bytes", "header only"])
def test_a_segment_without_a_record_is_empty(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "offline-run-20260101_000000-k3j9"
    folder.mkdir()
    (folder / "run-k3j9.wandb").write_bytes(content)
    segment = read_segment(folder)
    assert segment.empty
    assert (segment.run_id, segment.size_bytes, segment.history_count) == ("k3j9", len(content), 0)
    assert (segment.last_step, segment.exit_code, segment.summary, segment.config) == (None, None, {}, {})
    assert list(history(folder)) == []


@pytest.mark.parametrize("ask", [read_segment, lambda path: list(history(path))])
def test_what_is_no_segment_is_refused_in_one_line(tmp_path: Path, ask: Callable[[Path], object]) -> None:
    with pytest.raises(SegmentError, match=r"found no run-\*\.wandb in it"):
        ask(tmp_path)
    with pytest.raises(SegmentError, match="No such file"):
        ask(tmp_path / "none.wandb")
    (tmp_path / "run-a.wandb").write_text("not a log")
    with pytest.raises(SegmentError, match="not a W&B transaction log") as refused:
        ask(tmp_path)
    assert "\n" not in str(refused.value)
    (tmp_path / "run-b.wandb").write_bytes(HEADER)
    with pytest.raises(SegmentError, match=r"found 2 files run-\*\.wandb"):
        ask(tmp_path)


def test_of_a_cut_off_segment_the_rows_in_front_are_read(small: Path) -> None:
    os.truncate(small, small.stat().st_size // 2)
    segment = read_segment(small)
    assert 10 < segment.history_count < 40
    assert [row["loss"] for row in history(small)] == list(range(segment.history_count))
    assert segment.last_step == segment.history_count - 1
    assert segment.exit_code is None
    assert segment.damage is not None
    assert "the end is cut off" in segment.damage


def test_a_lost_record_in_the_middle_is_told(small: Path) -> None:
    content = bytearray(small.read_bytes())
    content[len(content) // 2] ^= 1
    small.write_bytes(content)
    segment = read_segment(small)
    assert segment.history_count in {49, 50}
    assert segment.lost_records == 1
    assert segment.damage is not None
    assert segment.damage.endswith("1 record lost")
    assert segment.exit_code == 0


def test_a_mended_copy_is_whole_but_still_tells_what_it_lacks(small: Path, tmp_path: Path) -> None:
    content = bytearray(small.read_bytes())
    content[len(content) // 2] ^= 1
    small.write_bytes(content)
    mended = tmp_path / "mended.wandb"
    write_log(mended, TransactionLog(small))
    assert (read_segment(mended).damage, read_segment(mended).lost_records) == (None, 1)


def test_a_record_that_is_not_wandbs_is_damage(small: Path) -> None:
    records = list(TransactionLog(small))
    write_log(small, [*records[:-1], b"\xff\xff\xff", records[-1]])
    segment = read_segment(small)
    assert segment.damage == "1 record not W&B's"
    assert segment.history_count == len(list(history(small))) == 50


def test_a_killed_run_without_a_summary_is_summed_up_from_its_rows(small: Path) -> None:
    parse = parser("Record")
    write_log(small, [record for record in TransactionLog(small) if not parse(record).HasField("summary")])
    summary = read_segment(small).summary
    assert (summary["loss"], summary["_step"]) == (49, 49)


def test_a_name_and_tags_given_later_are_the_ones_that_count(tmp_path: Path) -> None:
    script = """
import wandb
with wandb.init(project="p", name="first", tags=["a"]) as run:
    run.name = "second"
    run.tags = run.tags + ("b",)
"""
    segment = read_segment(write(sys.executable, tmp_path, script))
    assert (segment.display_name, segment.tags) == ("second", ("a", "b"))


def test_a_metric_set_anew_replaces_what_was_below_it(tmp_path: Path) -> None:
    script = """
import wandb
with wandb.init(project="p") as run:
    run.summary["a"] = {"old": 1}
    run.log({"a": {"older": 2}})
    run.log({"b": 1})
    run.summary["a"] = {"new": 3}
"""
    assert read_segment(write(sys.executable, tmp_path, script)).summary["a"] == {"new": 3}


def test_a_value_that_is_not_json_is_kept_as_text(tmp_path: Path) -> None:
    record = parser("Record")(b"")
    record.num = 1
    record.history.step.num = 4
    for key, text in {"two": "1,2", "cut": '{"a": ', "right": "3"}.items():
        record.history.item.add(key=key, value_json=text)
    log = tmp_path / "run-a.wandb"
    write_log(log, [record.SerializeToString()])
    assert list(history(log)) == [{"_step": 4, "two": "1,2", "cut": '{"a": ', "right": 3}]

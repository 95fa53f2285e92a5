"""What `runferry serve-results` refuses: it reads and writes below the results folder only, whatever it is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from runferry.errors import ConfigError
from runferry.sync.lock import LockBusyError, results_lock
from runferry.sync.remote.frames import GREETING, LARGEST_BODY, Line, LineError
from runferry.sync.remote.serving import ResultsService, folder_asked_for
from runferry.system.files import write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEGMENT = "e/r/wandb/offline-run-20260101_000000-r"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with one run that has ended, beside a secret."""
    folder = tmp_path / "results"
    wandb = {"project": "p", "base_url": "http://127.0.0.1:1"}
    write_json(folder / "e" / "r" / "run.json", {"id": "r", "name": "r", "wandb": wandb})
    (folder / SEGMENT / "files").mkdir(parents=True)
    (folder / SEGMENT / "run-r.wandb").write_bytes(b"what was logged")
    (tmp_path / "secret").write_text("secret")
    (folder / SEGMENT / "files" / "link").symlink_to(tmp_path / "secret")
    (folder / SEGMENT / "files" / "inside").symlink_to(folder / SEGMENT / "run-r.wandb")
    (folder / SEGMENT / "files" / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / SEGMENT / "files" / "pipe")
    return folder


@contextmanager
def conversation(folder: Path) -> Iterator[tuple[Line, list[Exception]]]:
    """The site's side in a thread, and how it ended."""
    (there, here), (back, out) = os.pipe(), os.pipe()
    ended: list[Exception] = []

    def serve() -> None:
        try:
            ResultsService(folder, Line(there, out, 20)).serve()
        except LineError as error:
            ended.append(error)
        os.close(out)

    thread = Thread(target=serve)
    thread.start()
    line = Line(back, here, 20)
    assert line.read_line() + b"\n" == GREETING
    assert line.receive()[0] == {"results": str(folder)}
    try:
        yield line, ended
    finally:
        os.close(here)
        thread.join(20)
        os.close(there)
        os.close(back)


@contextmanager
def greeted(folder: Path) -> Iterator[Line]:
    with conversation(folder) as (line, _):
        yield line


def answers(line: Line, header: dict[str, Any], body: bytes = b"") -> list[tuple[dict[str, Any], bytes]]:
    """All frames of an answer."""
    line.send(header, body)
    found = [line.receive()]
    while not {"ok", "end", "error", "busy"} & found[-1][0].keys():
        found.append(line.receive())
    return found


def get(line: Line, *files: Any) -> list[tuple[dict[str, Any], bytes]]:
    return answers(line, {"op": "get"}, json.dumps(files).encode())


def test_files_come_from_an_offset_on_and_links_that_lead_out_do_not(results: Path) -> None:
    with greeted(results) as line:
        listed = json.loads(answers(line, {"op": "list"})[0][1])
        assert {path.removeprefix(f"{SEGMENT}/") for path, _, _ in listed} == {
            "run-r.wandb",
            "files/inside",
            "e/r/run.json",
        }
        begin, data, end, _ = get(line, [f"{SEGMENT}/run-r.wandb", 5])
        assert (begin[0]["offset"], data[1], len(end[0]["sha256"])) == (5, b"was logged", 64)
        for name in ("link", "folder/secret", "pipe", "nothing"):
            assert get(line, [f"{SEGMENT}/files/{name}", 0])[0][0] == {"missing": f"{SEGMENT}/files/{name}"}


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "/etc/passwd",
        f"{SEGMENT}/../../../../../secret",
        "e/../../secret",
        "e/r/train.log",
        "e/r/checkpoints/model.pt",
        ".sync/holder.json",
        "e/r/attempts/../run.json",
        f"{SEGMENT}/files/\0",
        f"{SEGMENT}/" + "x" * 5000,
        ["e/r/run.json"],
        None,
        7,
    ],
)
def test_no_other_path_is_read(results: Path, path: object) -> None:
    with greeted(results) as line:
        ((header, body),) = get(line, [path, 0])
        assert "expected a segment or a record" in header["error"]
        assert body == b""
        # The conversation goes on.
        assert answers(line, {"op": "ping"})[0][0] == {"ok": True}


@pytest.mark.parametrize(
    ("run", "receipt"),
    [
        ("e/../../secret", {}),
        ("../x", {}),
        ("e/none", {}),
        ("e", {}),
        (None, {}),
        ("e/r", []),
        ("e/r", {}),
        ("e/r", {"base_url": "http://127.0.0.1:2", "segments": []}),
        ("e/r", {"base_url": "http://127.0.0.1:1", "segments": []}),
        ("e/r", {"base_url": "http://127.0.0.1:1", "segments": [{"name": SEGMENT.rpartition("/")[2]}]}),
    ],
)
def test_no_receipt_is_written_that_does_not_cover_what_is_there(results: Path, run: object, receipt: object) -> None:
    before = sorted(results.rglob("*"))
    with greeted(results) as line:
        ((header, _),) = answers(line, {"op": "receipt", "run": run}, json.dumps(receipt).encode())
        assert "error" in header
    assert sorted(results.rglob("*")) == before


def test_a_receipt_of_other_bytes_is_refused_and_one_of_these_bytes_is_written(results: Path) -> None:
    name = SEGMENT.rpartition("/")[2]
    entry: dict[str, Any] = {"name": name, "size_bytes": 15, "sha256": "0" * 64, "mtime_ns": 1, "ctime_ns": 1}
    receipt = {"base_url": "http://127.0.0.1:1", "segments": [entry]}
    with greeted(results) as line:
        ((header, _),) = answers(line, {"op": "receipt", "run": "e/r"}, json.dumps(receipt).encode())
        assert "other bytes" in header["error"]
        *_, end, _ = get(line, [f"{SEGMENT}/run-r.wandb", 0])
        entry["sha256"] = end[0]["sha256"]
        assert answers(line, {"op": "receipt", "run": "e/r"}, json.dumps(receipt).encode())[0][0] == {"ok": True}
        assert answers(line, {"op": "list"})[-1][0] == {"end": True, "training": 0, "receipts": 1}
        assert (results / "e" / "r" / "interim-receipt.json").exists()


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\n",
        b"[1]\n",
        b'{"body": -1}\n',
        b'{"body": true}\n',
        b'{"body": 4}\nnone',
        b"[" * 100_000 + b"\n",
        json.dumps({"body": LARGEST_BODY + 1}).encode() + b"\n",
        # A megabyte that unpacks to a gigabyte.
        json.dumps({"op": "get", "body": 1_042_069}).encode() + b"\n" + zlib.compress(bytes(2**30), 1)[:1_042_069],
    ],
    ids=range(8),
)
def test_what_is_no_frame_ends_the_conversation(results: Path, sent: bytes) -> None:
    with conversation(results) as (line, ended):
        line.write(sent)
        with pytest.raises(LineError):
            line.receive()
        assert "expected" in str(ended[0])


@pytest.mark.parametrize(
    "original",
    [
        "",
        "bash",
        "runferry serve-results",
        "runferry serve-results /",
        "runferry serve-results {}/..",
        "serve-results '",
    ],
)
def test_a_restricted_key_is_for_the_named_folder_only(results: Path, original: str) -> None:
    with pytest.raises(ConfigError, match="expected serve-results with"):
        folder_asked_for([results], original.format(results))


def test_a_restricted_key_takes_the_folder_from_what_was_typed(results: Path) -> None:
    other = results.with_name("other")
    other.mkdir()
    typed = f"/home/me/venv/bin/runferry serve-results {results}/./"
    assert folder_asked_for([other, results], typed) == results
    done = subprocess.run(
        [sys.executable, "-m", "runferry", "serve-results", str(other), str(results)],
        input=b'{"op": "bye"}\n',
        env=os.environ | {"SSH_ORIGINAL_COMMAND": typed},
        capture_output=True,
        check=True,
    )
    assert done.stdout == GREETING + json.dumps({"results": str(results)}).encode() + b'\n{"ok": true}\n'


def test_the_folder_is_locked_for_as_long_as_the_line_holds(results: Path) -> None:
    with greeted(results) as line:
        assert answers(line, {"op": "hold"})[0][0] == {"ok": True}
        with pytest.raises(LockBusyError), results_lock(results, print, wait=False):
            pass
    with results_lock(results, print, wait=False), greeted(results) as line:
        assert answers(line, {"op": "hold"})[0][0] == {"busy": True}

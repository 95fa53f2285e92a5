"""Data on its way onto the node and back: through the launcher as a job does, and each part alone."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from runferry.config.data import Item, items_of
from runferry.errors import ConfigError, LaunchError, PackingError
from runferry.launch import staging as stage
from runferry.launch.staging import Staging
from support.launching import lines, make_run, run_to_end, start
from support.staged_runs import staged


def archive(folder: Path, suffix: str) -> Path:
    """An archive that holds `deep/a.txt`."""
    content = folder / "content" / "deep"
    content.mkdir(parents=True, exist_ok=True)
    (content / "a.txt").write_text("staged\n")
    (content / "noise").write_bytes(os.urandom(100_000))
    file = folder / f"imagenet{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(file, "w") as packed:
            packed.write(content / "a.txt", "deep/a.txt")
            packed.write(content / "noise", "deep/noise")
        return file
    tar = folder / "plain.tar"
    with tarfile.open(tar, "w") as packed:
        packed.add(content, "deep")
    compress = {".tar": bytes, ".tar.gz": gzip.compress, ".tar.zst": zstandard.compress}
    if suffix in compress:
        file.write_bytes(compress[suffix](tar.read_bytes()))
    else:
        mode: Any = f"w:{suffix.rpartition('.')[2]}"
        with tarfile.open(file, mode) as packed:
            packed.add(content, "deep")
    return file


def section(source: Path, **more: object) -> dict[str, object]:
    return {"from": str(source), "to": None, "unpack": False, **more}


def stage_records(*sections: dict[str, object]) -> list[dict[str, object]]:
    return [item.as_record() for item in items_of(sections, "stage")]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.zst", ".tar.bz2", ".tar.xz", ".zip"])
def test_an_archive_is_unpacked(tmp_path: Path, suffix: str) -> None:
    (item,) = items_of([section(archive(tmp_path, suffix), unpack=True)], "stage")
    places, said = staged(tmp_path / "node", item)
    assert item.to == "imagenet"
    assert (places["imagenet"] / "deep" / "a.txt").read_text() == "staged\n"
    assert said[-1].startswith(f"staged imagenet{suffix} (")


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.zst", ".tar.bz2", ".tar.xz", ".zip"])
def test_a_damaged_archive_is_one_line_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    file = archive(tmp_path, suffix)
    (item,) = items_of([section(file, unpack=True)], "stage")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(LaunchError, match=rf"imagenet{suffix}: cannot be "):
        staged(tmp_path / "node", item)
    assert list((tmp_path / "node").iterdir()) == []


def test_a_file_and_a_folder_are_copied_with_their_times(tmp_path: Path) -> None:
    archive(tmp_path, ".tar")
    os.utime(tmp_path / "plain.tar", (10**9, 10**9))
    items = items_of([section(tmp_path / "plain.tar"), section(tmp_path / "content", to="a/b")], "stage")
    places, _ = staged(tmp_path / "node", *items)
    assert places["plain.tar"].stat().st_mtime == 10**9
    assert (places["a/b"] / "deep" / "a.txt").read_text() == "staged\n"


def test_what_is_no_regular_file_is_left_out_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    os.mkfifo(folder / "pipe")
    places, said = staged(tmp_path / "node", *items_of([section(folder)], "stage"))
    assert [file.name for file in places["data"].iterdir()] == ["a.txt"]
    assert f"{folder / 'pipe'} is not staged: found no regular file" in said


def test_names_that_lead_out_of_the_folder_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with tarfile.open(tmp_path / "out.tar", "w") as packed:
        packed.add(tmp_path / "a.txt", "../a.txt")
    with pytest.raises(LaunchError, match=r"expected names that stay inside the folder, found: tar: .*'\.\.'"):
        staged(tmp_path / "node", *items_of([section(tmp_path / "out.tar", unpack=True)], "stage"))
    assert not (tmp_path / "node" / "a.txt").exists()


def test_it_is_staged_once_for_all_runs_of_a_job(tmp_path: Path) -> None:
    (item,) = items_of([section(archive(tmp_path, ".tar"), unpack=True)], "stage")
    first, _ = staged(tmp_path / "node", item)
    second, said = staged(tmp_path / "node", item)
    assert first == second
    assert said == ["imagenet.tar is on the node already"]


def test_a_changed_source_is_staged_anew(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    texts = []
    for text in ["one", "another"]:
        file.write_text(text)
        places, _ = staged(tmp_path / "node", *items_of([section(file)], "stage"))
        texts.append(places["data.csv"].read_text())
    assert texts == ["one", "another"]


def test_what_an_interrupted_job_left_is_removed_and_it_starts_again(tmp_path: Path) -> None:
    (item,) = items_of([section(archive(tmp_path, ".tar"), unpack=True)], "stage")
    leftover = tmp_path / "node" / f".staged-{item.key}.x.partial"
    leftover.mkdir(parents=True)
    places, _ = staged(tmp_path / "node", item)
    assert places["imagenet"].is_dir()
    assert not leftover.exists()


def test_a_cancelled_staging_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(item: Item, target: Path, progress: stage._Progress) -> None:
        target.write_text("half")
        begun.set()
        go_on.wait(10)
        progress.add(1)

    monkeypatch.setattr(stage, "_put", slow)
    (tmp_path / "node").mkdir()
    (tmp_path / "data.csv").write_text("data")
    staging = Staging(items_of([section(tmp_path / "data.csv")], "stage"), tmp_path / "node", print)
    staging.start()
    assert begun.wait(10)
    threading.Timer(0.1, go_on.set).start()
    staging.cancel()
    assert list((tmp_path / "node").iterdir()) == []


def test_the_log_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PROGRESS_SECONDS", 0.0)
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(10_000_000))
    _, said = staged(tmp_path / "node", *items_of([section(file)], "stage"))
    assert said[0].startswith("staging data.bin: 41 % of 10 MB, ")


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    file = tmp_path / "huge.bin"
    with file.open("wb") as sparse:
        disk = os.statvfs(tmp_path)
        sparse.truncate(disk.f_bavail * disk.f_frsize + 10**10)
    with pytest.raises(
        PackingError, match=r"\d+ MB too little room for .*huge\.bin: found \d+ MB free, expected \d+ MB"
    ):
        staged(tmp_path / "node", *items_of([section(file)], "stage"))
    assert list((tmp_path / "node").iterdir()) == []


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ([{"from": "none.tar"}], r"stage\.0\.from: found no file or folder .*none\.tar"),
        ([{"from": "content", "unpack": True}], r"stage\.0\.unpack: found a folder, expected an archive"),
        ([{"from": "plain.txt", "unpack": True}], r"stage\.0\.unpack: found plain\.txt, expected an archive"),
        ([{"from": "plain.txt", "to": "../x"}], r"stage\.0\.to: found '\.\./x', expected a path below"),
        ([{"from": "plain.txt", "to": "/x"}], r"stage\.0\.to: found '/x', expected a path below"),
        (
            [{"from": "plain.txt", "to": "a"}, {"from": "content", "to": "a/b"}],
            r"stage\.1\.to: found a/b, which overlaps a",
        ),
    ],
)
def test_what_cannot_be_staged_is_refused_in_one_line(tmp_path: Path, sections: list[dict], said: str) -> None:
    archive(tmp_path, ".tar")
    (tmp_path / "plain.txt").touch()
    given = [section(tmp_path / given.pop("from"), **given) for given in [dict(each) for each in sections]]
    with pytest.raises(ConfigError, match=said):
        items_of(given, "stage")


def test_the_command_finds_its_data_by_variable_and_by_macro_and_leaves_files_that_are_brought_back(
    tmp_path: Path,
) -> None:
    node = tmp_path / "node"
    node.mkdir()
    code = (
        'cat "$RUNFERRY_DATA/imagenet/deep/a.txt" "$1"; mkdir "$RUNFERRY_DATA/outputs"; '
        'echo weights >"$RUNFERRY_DATA/outputs/model.pt"; echo no >"$RUNFERRY_DATA/outputs/model.tmp"'
    )
    folder = make_run(
        tmp_path / "run",
        ["sh", "-c", code, "sh", "${data}/imagenet/deep/a.txt"],
        stage=stage_records(section(archive(tmp_path, ".tar"), unpack=True)),
        collect=["outputs/*.pt", "none*"],
    )
    assert run_to_end(folder, {"SLURM_TMPDIR": str(node)})[0] == 0
    assert lines(folder).count("staged") == 2
    (collected,) = [file for file in folder.collected_folder.rglob("*") if file.is_file()]
    assert collected.relative_to(folder.collected_folder) == Path("outputs/model.pt")
    assert collected.read_text() == "weights\n"
    assert any("collected 1 of 1 files" in line for line in lines(folder))
    assert any("nothing matches none*" in line for line in lines(folder))
    # The run's own folder is gone, what other runs of the job share is there.
    assert [file.name.partition("-")[0] for file in (node / "runferry").iterdir()] == ["staged"]


def test_without_stage_and_collect_the_macro_is_a_word_like_any_other(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", ["echo", "${data}"])
    assert run_to_end(folder)[0] == 0
    assert "${data}" in lines(folder)


def test_data_that_is_gone_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("data")
    folder = make_run(tmp_path / "run", ["true"], stage=stage_records(section(file)))
    file.unlink()
    code, errors = run_to_end(folder)
    assert code == 1
    assert errors.splitlines()[0].startswith(f"{file}: cannot be staged: ")
    assert "found: No such file or directory" in errors


def test_a_launcher_that_is_stopped_while_it_stages_leaves_nothing_half_done(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    pipe = tmp_path / "slow.tar"
    archive(tmp_path, ".tar")
    pipe.write_bytes((tmp_path / "plain.tar").read_bytes())
    records = stage_records(section(pipe, unpack=True))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tar").write_text("#!/bin/sh\nsleep 3\n")
    (tmp_path / "bin" / "tar").chmod(0o755)
    folder = make_run(tmp_path / "run", ["true"], stage=records)
    launcher = start(folder, {"SLURM_TMPDIR": str(node), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
    deadline = time.monotonic() + 30
    while not list(node.glob("runferry/.staged-*.partial/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    launcher.send_signal(signal.SIGTERM)
    launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + signal.SIGTERM
    assert not list(node.glob("runferry/.staged-*"))


def test_a_record_of_an_item_is_what_it_was_made_of(tmp_path: Path) -> None:
    (item,) = items_of([section(archive(tmp_path, ".tar"), unpack=True, to="x/y")], "stage")
    assert Item.from_record(json.loads(json.dumps(item.as_record()))) == item
    assert subprocess.run(["tar", "-tf", item.source], capture_output=True, check=True).stdout.startswith(b"deep/")

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
import zstandard

from runferry.environment.archive import read_index, unpack
from runferry.environment.packing import pack
from runferry.environment.record import EnvironmentRecord, read_record
from runferry.errors import PackingError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with everything an environment may hold, in several frames."""
    tree = tmp_path / "tree"
    deep = tree / "lib" / ("a" * 90) / ("b" * 90)
    deep.mkdir(parents=True)
    (deep / "module.py").write_text("value = 1\n")
    (tree / "empty folder").mkdir()
    (tree / "empty").touch()
    (tree / "snow ☃").write_text("cold")
    (tree / "bin").mkdir()
    (tree / "bin" / "python").symlink_to(sys.executable)
    (tree / "bin" / "dangling").symlink_to("nowhere")
    script = tree / "bin" / "script"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    for number in range(4):
        (tree / f"large{number}").write_bytes(os.urandom(3_000_000 + number))
    os.utime(tree / "empty", (1_000_000_000, 1_000_000_000))
    return tree


@pytest.fixture(params=[False, True], ids=["stored", "compressed"])
def compress(request: pytest.FixtureRequest) -> bool:
    """Both kinds of archive."""
    return request.param


@pytest.fixture
def record_file(tree: Path, tmp_path: Path, compress: bool) -> Path:
    folder = tmp_path / "environments"
    packed = pack(tree, folder, "k", compress=compress)
    record = EnvironmentRecord(
        name="default",
        key="k",
        **dataclasses.asdict(packed),
        python=sys.executable,
        python_version="3.11.0",
        lock="k.lock.txt",
        packages=0,
        wandb=None,
        modules=(),
        no_index=False,
        specification="",
        built="2026-01-01T00:00:00+00:00",
    )
    record.write(folder / "default.json")
    return folder / "default.json"


def archive_of(record_file: Path) -> Path:
    return record_file.with_name(read_record(record_file).archive)


def changed(record_file: Path, **changes: object) -> Path:
    dataclasses.replace(read_record(record_file), **changes).write(record_file)
    return record_file


def contents(folder: Path) -> dict[str, object]:
    def content(path: Path) -> object:
        if path.is_symlink():
            return path.readlink()
        return None if path.is_dir() else (path.read_bytes(), path.stat().st_mode & 0o111, int(path.stat().st_mtime))

    return {str(path.relative_to(folder)): content(path) for path in folder.rglob("*")}


def test_what_is_unpacked_is_what_was_packed(tree: Path, record_file: Path, tmp_path: Path) -> None:
    folder = unpack(record_file, tmp_path / "node with space")
    assert contents(folder) == contents(tree)
    archive = archive_of(record_file)
    with archive.open("rb") as file:
        assert len(read_index(file, archive).pieces) > 2


def test_an_archive_is_an_ordinary_tar_which_may_be_compressed(tree: Path, record_file: Path, compress: bool) -> None:
    content = archive_of(record_file).read_bytes()
    if compress:
        content = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = {str(Path(name)) for name in tar.getnames()}
    assert names == {".", *contents(tree)}


def test_the_same_tree_gives_the_same_archive(tree: Path, record_file: Path, tmp_path: Path, compress: bool) -> None:
    again = pack(tree, tmp_path, "again", compress=compress)
    assert again.sha256 == read_record(record_file).sha256
    assert (tmp_path / again.archive).read_bytes() == archive_of(record_file).read_bytes()


def test_a_large_tree_is_compressed_and_a_small_one_is_not(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pack(tree, tmp_path, "small").archive == "small.tar"
    monkeypatch.setattr("runferry.environment.packing._STORED_BYTES", 10_000_000)
    assert pack(tree, tmp_path, "large").archive == "large.tar.zst"


def test_what_tar_extracts_is_what_was_packed(tree: Path, record_file: Path, tmp_path: Path, compress: bool) -> None:
    folder = tmp_path / "by tar"
    folder.mkdir()
    archive = archive_of(record_file)
    content = archive.read_bytes()
    if compress:
        content = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    subprocess.run(["tar", "--extract", "--file=-", f"--directory={folder}"], input=content, check=True)
    assert contents(folder) == contents(tree)


def test_the_record_counts_what_was_unpacked(record_file: Path, tmp_path: Path) -> None:
    folder = unpack(record_file, tmp_path / "node")
    record = read_record(record_file)
    assert record.files == len(contents(folder)) + 1
    assert record.archive_bytes == archive_of(record_file).stat().st_size
    assert record.unpacked_bytes >= sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def test_an_unpacked_environment_is_used_again(record_file: Path, tmp_path: Path) -> None:
    folder = unpack(record_file, tmp_path / "node")
    (folder / "mark").touch()
    archive_of(record_file).unlink()
    assert unpack(record_file, tmp_path / "node") == folder
    assert (folder / "mark").exists()


def test_what_an_interrupted_call_left_is_removed_and_begun_again(
    tree: Path, record_file: Path, tmp_path: Path
) -> None:
    leftover = tmp_path / "node" / ".environment-k.0123abcd.partial"
    leftover.mkdir(parents=True)
    (leftover / "half").touch()
    folder = unpack(record_file, tmp_path / "node")
    assert contents(folder) == contents(tree)
    assert not leftover.exists()


def test_a_call_that_fails_leaves_nothing_and_says_why(tree: Path, record_file: Path, tmp_path: Path) -> None:
    node = tmp_path / "node"
    code = (
        "import sys, pathlib; from runferry.environment.archive import unpack; unpack(*map(pathlib.Path, sys.argv[1:]))"
    )
    # A limit on a file's size, in place of a disk that is full.
    process = subprocess.run(
        ["sh", "-c", 'ulimit -f 2000; exec "$@"', "sh", sys.executable, "-c", code, str(record_file), str(node)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode != 0
    assert f"cannot be extracted in {node}" in process.stderr
    assert list(node.iterdir()) == []
    assert contents(unpack(record_file, node)) == contents(tree)


def test_jobs_that_share_a_node_unpack_once(record_file: Path, tmp_path: Path) -> None:
    found: list[tuple[Path, int]] = []

    def job() -> None:
        folder = unpack(record_file, tmp_path / "node")
        found.append((folder, folder.stat().st_ino))

    jobs = [threading.Thread(target=job) for _ in range(4)]
    for thread in jobs:
        thread.start()
    for thread in jobs:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


@pytest.mark.parametrize("position", [100, 5_000_000, -100, -1])
def test_a_damaged_archive_is_refused_and_leaves_nothing(record_file: Path, tmp_path: Path, position: int) -> None:
    archive = archive_of(record_file)
    content = bytearray(archive.read_bytes())
    content[position] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(PackingError, match=r"k\.tar(\.zst)?: .*build the environment again"):
        unpack(record_file, tmp_path / "node")
    assert not (tmp_path / "node" / "environment-k").exists()
    assert not list((tmp_path / "node").glob("*.partial"))


@pytest.mark.parametrize("size", [0, 10, 5_000_000])
def test_a_cut_off_archive_is_refused(record_file: Path, tmp_path: Path, size: int) -> None:
    archive = archive_of(record_file)
    os.truncate(archive, size)
    with pytest.raises(PackingError, match="not a whole archive"):
        unpack(record_file, tmp_path / "node")


def test_another_archive_than_the_record_s_is_refused(
    tree: Path, record_file: Path, tmp_path: Path, compress: bool
) -> None:
    (tree / "more").touch()
    pack(tree, record_file.parent, "k", compress=compress)
    with pytest.raises(PackingError, match="another environment's"):
        unpack(record_file, tmp_path / "node")
    assert not (tmp_path / "node" / "environment-k").exists()


def test_a_missing_archive_is_named(record_file: Path, tmp_path: Path) -> None:
    archive_of(record_file).unlink()
    with pytest.raises(PackingError, match=r"k\.tar(\.zst)?: found no such archive"):
        unpack(record_file, tmp_path / "node")


def test_too_little_room_is_said_before_anything_is_written(record_file: Path, tmp_path: Path) -> None:
    changed(record_file, unpacked_bytes=10**18)
    with pytest.raises(PackingError, match=r"\d+ MB too little room for the environment: .* expected 1000000000000 MB"):
        unpack(record_file, tmp_path / "node")
    assert not list((tmp_path / "node").glob("*environment-k*/"))


def test_a_node_without_the_environment_s_python_is_told_so(record_file: Path, tmp_path: Path) -> None:
    changed(record_file, python="/nowhere/bin/python3.11")
    with pytest.raises(
        PackingError, match=r"found no /nowhere/bin/python3\.11 on .*, expected the environment's Python"
    ):
        unpack(record_file, tmp_path / "node")


def test_packing_something_else_than_files_links_and_folders_is_refused(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(PackingError, match="pipe: found neither a file nor a link nor a folder"):
        pack(tree, tmp_path / "out", "k")


def test_packing_that_fails_leaves_the_archive_that_was_there(tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "out" / pack(tree, tmp_path / "out", "k").archive
    before = archive.read_bytes()
    code = (
        "import sys, pathlib; from runferry.environment.packing import pack; "
        "pack(*map(pathlib.Path, sys.argv[1:]), 'k')"
    )
    process = subprocess.run(
        ["sh", "-c", 'ulimit -f 2000; exec "$@"', "sh", sys.executable, "-c", code, str(tree), str(archive.parent)],
        capture_output=True,
        check=False,
    )
    assert process.returncode != 0
    assert archive.read_bytes() == before
    assert [path.name for path in archive.parent.iterdir()] == ["k.tar"]


def test_a_record_reads_back_as_it_was_written(record_file: Path) -> None:
    record = read_record(record_file)
    record.write(record_file.with_name("copy.json"))
    assert read_record(record_file.with_name("copy.json")) == record


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such environment record"),
        ("{", "expected JSON"),
        ("[]", "expected an environment record of format 3"),
        ('{"format": 0}', "expected an environment record of format 3"),
        ('{"format": 3}', "missing or unknown keys"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "default.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(PackingError, match=said) as error:
        read_record(file)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_job_that_unpacks_imports_nothing_that_only_building_needs() -> None:
    code = "import sys; from runferry.environment.archive import unpack; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "zstandard" in answer.stdout.split()
    assert not {"filelock", "virtualenv", "wandb", "yaml", "snakemake"} & set(answer.stdout.split())

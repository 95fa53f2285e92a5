"""The errors of packed environments, of containers, of what is staged and of segments."""

from __future__ import annotations

import dataclasses
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runferry.config.data import Item
from runferry.environment import archive, packing, relocate
from runferry.environment import relocate as existing
from runferry.environment.archive import unpack
from runferry.environment.container import Contained, read_container, record_container
from runferry.environment.installation import Installation
from runferry.environment.record import FORMAT, EnvironmentRecord, read_record
from runferry.environment.specification import Specification
from runferry.launch import staging as stage
from runferry.launch.staging import Staging
from runferry.system import disk_space
from runferry.system.files import write_json
from runferry.trackers.wandb.log.framing import TransactionLog
from runferry.trackers.wandb.log.segment import find_log, history, read_segment
from support.errors.provoking import Row, World

PIP_SAYS = "ERROR: No matching distribution found for nothing"
NOT_FOUND = "ERROR: Could not find a version that satisfies the requirement x (from versions: none)"
NO_EXTRA = "WARNING: p 1.0 does not provide the extra 'gpu'"


def _packed(world: World, **changes: Any) -> Path:
    """An environment's record with its archive."""
    world.file("tree/file", os.urandom(100_000))
    packed = packing.pack(world.tmp / "tree", world.tmp / "environments", "k")
    given: dict[str, Any] = {
        "name": "default",
        "key": "k",
        "archive": "k.tar.zst",
        **dataclasses.asdict(packed),
        "python": sys.executable,
        "python_version": "3.11.0",
        "lock": "k.lock.txt",
        "packages": 0,
        "wandb": None,
        "modules": (),
        "no_index": False,
        "specification": "",
        "built": "2026-01-01T00:00:00+00:00",
        **changes,
    }
    file = world.tmp / "environments" / "default.json"
    EnvironmentRecord(**given).write(file)
    return file


def _unpacked(words: str, change: Any) -> Row:
    def provoke(world: World) -> None:
        record_file = _packed(world)
        change(world, record_file.with_name("k.tar"))
        (world.tmp / "node").mkdir(exist_ok=True)
        unpack(record_file, world.tmp / "node")

    return Row("environment/archive.py", words, provoke)


def _flipped(_: World, file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[100] ^= 0xFF
    file.write_bytes(content)


def _index_flipped(_: World, file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-archive.FOOTER.size - 10] ^= 0xFF
    file.write_bytes(content)


def _no_index(world: World) -> None:
    file = world.file("k.tar", b"junk" + archive.FOOTER.pack(4, archive.FOOTER_MAGIC))
    with file.open("rb") as opened:
        archive.read_index(opened, file)


def _disk_is_full(world: World, _: Path) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    world.patch.setattr(archive, "extract", refuse)


def _no_place(world: World, _: Path) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    world.patch.setattr(archive, "_unpack_anew", refuse)


def _container(words: str, change: Any) -> Row:
    def provoke(world: World) -> None:
        image = world.file("image.sif", "an image")
        file = world.tmp / "default.json"
        record_container(Specification(image, kind="container"), file)
        change(image, file)
        read_container(file)

    return Row("environment/container.py", words, provoke)


def _contained(words: str, workdir: str, *, there: bool) -> Row:
    def provoke(world: World) -> None:
        world.program("apptainer" if there else "other")
        Contained("a.sif", world.tmp, Path(workdir), [], gpu=False).command(["true"], os.environ["PATH"])

    return Row("environment/container.py", words, provoke)


def _installed(words: str, said: str, act: Any, **specification: Any) -> Row:
    """What becomes of the words of pip, or of virtualenv."""

    def provoke(world: World) -> None:
        code = 0 if said == NO_EXTRA else 1
        world.patch.setattr(Installation, "_run", lambda *_: ([said], code))
        world.patch.setattr(Installation, "_pip", lambda _: ["pip"])
        act(Installation(world.tmp / "tree", {}, io.StringIO()), Specification(world.tmp / "r.txt", **specification))

    return Row("environment/installation.py", words, provoke)


def _never_ends(installation: Installation, specification: Specification) -> None:
    object.__setattr__(installation, "_download", lambda *_: None)
    installation.install_arguments([], specification, "3.11")


def _record(words: str, content: str | None) -> Row:
    def provoke(world: World) -> None:
        read_record(world.tmp / "none.json" if content is None else world.file("default.json", content))

    return Row("environment/record.py", words, provoke)


def _no_file(world: World) -> None:
    (world.tmp / "tree").mkdir()
    os.mkfifo(world.tmp / "tree" / "pipe")
    packing.pack(world.tmp / "tree", world.tmp, "k")


def _changing(world: World) -> None:
    member = packing._member(world.tmp, world.file("shrinks", "more than afterwards"))
    world.file("shrinks", "less")
    packing._write_tar([member], member.tar_bytes, io.BytesIO())


def _editable(world: World) -> None:
    tree = world.tmp / "tree"
    relocate._rewrite_pth(world.file("tree/mine.pth", f"import sys; sys.path.append('{tree}/src')\n"), tree, tree)


def _no_inodes(world: World) -> None:
    free = SimpleNamespace(f_bavail=10**9, f_frsize=4096, f_files=10, f_favail=1)
    world.patch.setattr(os, "statvfs", lambda _: free)
    world.patch.setattr(disk_space, "filesystem_of", lambda _: "ext4")
    disk_space.check_room(world.tmp, 1, "the environment", inodes=5)


def _staged(words: str, name: str, *, with_room: bool = True) -> Row:
    def provoke(world: World) -> None:
        source = world.file(name, "PK\x03\x04 and no more" if name.endswith("zip") else "no archive")
        node = world.tmp / "node"
        if with_room:
            node.mkdir()
        staging = Staging([Item(source, "data", unpack=True)], node, print)
        staging.start()
        staging.finish()

    return Row("launch/staging.py", words, provoke)


def _segment(words: str, act: Any) -> Row:
    return Row("trackers/wandb/log/segment.py", words, act)


def _no_place_for_item(world: World) -> None:
    class Unreadable:
        source = world.tmp / "data"

        @property
        def key(self) -> str:
            raise PermissionError(13, "Permission denied")

    Staging([], world.tmp, print)._place(Unreadable())  # type: ignore[arg-type]


def _broken_zip(world: World) -> None:
    stage._unzip(world.file("data.zip", "no archive"), world.tmp / "target", None)  # type: ignore[arg-type]


ROWS = [
    _unpacked("found no {} on {}", lambda world, _: _packed(world, python="/nowhere/python3.11")),
    _unpacked("to be unpacked here", _no_place),
    _unpacked("found no such archive", lambda _, file: file.unlink()),
    _unpacked("found not a whole archive", lambda _, file: os.truncate(file, 10)),
    _unpacked("another environment's", _index_flipped),
    Row("environment/archive.py", "found an index that cannot be read", _no_index),
    _unpacked("expected it as it was packed", _flipped),
    _unpacked("expected room for it, found", _disk_is_full),
    _container(
        "found a file of another runferry version", lambda _, file: write_json(file, {"kind": "container", "format": 1})
    ),
    _container("found no such image", lambda image, _: image.unlink()),
    _container("found another image", lambda image, _: image.write_text("longer than the other")),
    _contained("apptainer: found none", "/work", there=False),
    _contained("found a comma or colon", "/with,comma", there=True),
    Row(
        "environment/relocate.py",
        "cannot be copied",
        lambda world: existing.copy_environment(world.tmp / "no", world.tmp),
    ),
    _installed("a virtual environment to be made", "broken", lambda one, _: one.create(SimpleNamespace(path="python"))),
    _installed("most packages in the site's wheelhouse", NOT_FOUND, _never_ends, no_index=True, index_allowed=True),
    _installed("packages that can be installed", PIP_SAYS, lambda one, what: one.install_arguments([], what, "3.11")),
    _installed("packages that can be installed", PIP_SAYS, lambda one, what: one.wheel_of(Path("p"), what)),
    _installed("packages that can be installed", PIP_SAYS, lambda one, what: one._download("x", what)),
    _installed(
        "found no extra",
        NO_EXTRA,
        lambda one, what: one.install_arguments([], what, "3.11"),
        kind="pyproject",
        extras=("gpu",),
    ),
    Row("environment/packing.py", "neither a file", _no_file),
    Row("environment/packing.py", "{}: found that it changed while it was packed", _changing),
    _record("or one edited by hand", "[]"),
    _record("found missing or unknown keys", f'{{"format": {FORMAT}}}'),
    _record("found no such environment record", None),
    _record("{}; build the environment again", "{"),
    Row("environment/relocate.py", "an editable install", _editable),
    Row(
        "system/disk_space.py", "too little room", lambda world: disk_space.check_room(world.tmp, 10**18, "x", inodes=1)
    ),
    Row("system/disk_space.py", "too few inodes", _no_inodes),
    _staged("cannot be staged: expected what can be read, found: {}", "data.zip"),
    _staged("a folder with room", "data.tar", with_room=False),
    Row("launch/staging.py", "cannot be staged: expected what can be read, found: {}", _no_place_for_item),
    _staged("cannot be unpacked: expected {}, found: {}", "data.tar"),
    Row("launch/staging.py", "cannot be unpacked: expected a whole archive, found: {}", _broken_zip),
    _segment("expected one: give a folder", lambda world: find_log(world.tmp)),
    _segment("can be read", lambda world: read_segment(world.tmp / "none.wandb")),
    _segment("can be read", lambda world: list(history(world.tmp / "none.wandb"))),
    Row(
        "trackers/wandb/log/framing.py",
        "at its beginning",
        lambda world: list(TransactionLog(world.file("a.wandb", "something"))),
    ),
    Row("trackers/wandb/log/framing.py", "no regular file", lambda world: list(TransactionLog(world.pipe))),
]

"""Rows of the table of errors: what is Comet's, what the tracker decides, and what is kept of W&B runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import requests

from runferry.runs.folder import RunFolder
from runferry.sync.comet.upload import find_comet
from runferry.sync.rename import rename
from runferry.system.files import write_json
from runferry.trackers.comet import server
from runferry.trackers.comet.segments import Archive
from runferry.trackers.comet.server import CometServer, find_server
from runferry.trackers.comet.settings import CometSettings
from runferry.trackers.registry import tracker_name
from runferry.trackers.wandb.deleted import read_cleaned
from runferry.trackers.wandb.renamed import read_renamed
from support.errors.provoking import Row, World, elsewhere, made

URL = "http://127.0.0.1:1"


def _asked(words: str, status: int = 200, error: Exception | None = None) -> Row:
    def get(*_: Any, **__: Any) -> Any:
        if error:
            raise error
        return SimpleNamespace(status_code=status, content=b"a login page", headers={})

    def provoke(world: World) -> None:
        world.patch.setattr(server, "PAUSES", ())
        world.patch.setattr(CometServer, "_session", lambda _self: SimpleNamespace(get=get))
        CometServer(URL, "key", "COMET_API_KEY").experiment("k", [])

    return Row("trackers/comet/server.py", words, provoke)


def _found(words: str, url: str, settings: str = "") -> Row:
    def provoke(world: World) -> None:
        for name in ("COMET_API_KEY", "COMET_URL_OVERRIDE"):
            world.patch.delenv(name, raising=False)
        world.patch.setattr(server, "held_key", lambda _: None)
        world.patch.setenv("HOME", str(world.tmp))
        world.patch.setenv("COMET_CONFIG", str(world.file("comet.config", settings)))
        find_server(url)

    return Row("trackers/comet/server.py", words, provoke)


def _no_program(world: World) -> None:
    world.patch.setattr("runferry.sync.comet.upload.sys.executable", str(world.tmp / "python"))
    world.patch.setenv("PATH", str(world.tmp))
    find_comet()


def _unreadable_archive(world: World) -> None:
    archive = Archive.__new__(Archive)
    object.__setattr__(archive, "file", world.file("a.zip", "no archive"))
    list(archive.messages())


def _needs(_: World) -> None:
    values = {"a": {"values": [1, 2]}}
    sweep = {"method": "grid", "metric": {"name": "m"}, "parameters": values, "command": ["true", "${args}"]}
    sections = {"pretrain": {"sweep": sweep}, "tune": {"command": ["true"], "needs": ["pretrain"]}}
    experiments = made(sections)
    CometSettings().check_experiment(experiments["tune"], experiments)


def _cleaned(world: World) -> None:
    folder = RunFolder(world.run())
    folder.cleaned_file.write_text("{")
    read_cleaned(folder)


def _renamed(world: World) -> None:
    folder = RunFolder(world.run())
    folder.renamed_file.write_text("{")
    read_renamed(folder)


def _rename(world: World, file: str, content: dict[str, Any]) -> None:
    folder = RunFolder(world.run())
    write_json(folder.path / file, content)
    rename([folder], print)


DELETED = {
    "date": "2026-01-01",
    "segments": [],
    "run_id": "r",
    "entity": "e",
    "project": "p",
    "history_lines": 1,
    "last_step": 0,
    "state": "finished",
    "event_lines": 0,
    "output_lines": 0,
    "summary": {},
    "config": {},
    "files": [],
    "artifacts": [],
}
ROWS = [
    Row("trackers/wandb/deleted.py", "expected what runferry clean wrote", _cleaned),
    Row("trackers/wandb/renamed.py", "expected what runferry rename wrote", _renamed),
    Row("sync/rename.py", "logs to Comet", lambda world: _rename(world, "run.json", {"id": "r", "tracker": "comet"})),
    Row("sync/rename.py", "deleted from this disk", lambda world: _rename(world, "cleaned.json", DELETED)),
    elsewhere(
        "sync/comet/carrier.py",
        "found {}",
        "tests/trackers/comet/test_in_job.py::test_a_command_that_never_calls_comet_is_said",
    ),
    Row("trackers/comet/segments.py", "expected an archive", _unreadable_archive),
    _found("found no key", URL),
    _found("expected a URL", "ftp://comet.example"),
    _found("expected comet_ml's settings", URL, "no section"),
    _asked("could not be reached", error=requests.ConnectionError()),
    _asked("refused the key", 401),
    _asked("found HTTP", 410),
    _asked("{}", 302),
    _asked("not JSON"),
    Row("trackers/comet/settings.py", "sync.", lambda _: CometSettings().check({"sync": {"watch": True}}, None)),  # type: ignore[arg-type]
    Row("trackers/comet/settings.py", "expected none with `tracker: comet`", _needs),
    Row("sync/comet/upload.py", "found no program comet", _no_program),
    Row("trackers/registry.py", "tracker: found", lambda _: tracker_name("mlflow")),
]

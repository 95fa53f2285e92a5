"""The errors of commands, of a run's folder and its attempts, of syncing and of the server."""

from __future__ import annotations

import contextlib
import email.message
import io
import json
import os
import socket
import urllib.error
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests

from runferry.cli import housekeeping
from runferry.config import rounds
from runferry.errors import ServerError
from runferry.launch import macros, multi_node, task, tasks
from runferry.launch import pack as launch_pack
from runferry.launch.execution import Execution
from runferry.launch.launch import launch
from runferry.launch.node_files import make_folders, open_log
from runferry.launch.retries import check_retry
from runferry.launch.takeover import take_turn
from runferry.report.data import read_experiment
from runferry.runs import pack
from runferry.runs.attempt import Attempt
from runferry.runs.folder import FOLDER, RunFolder, find_run_folders, runs_of
from runferry.sync import watch
from runferry.sync.adopt import adopt_segments
from runferry.sync.engine import sync
from runferry.sync.lock import results_lock
from runferry.sync.outcome import Limits
from runferry.sync.queue import RecentFailure
from runferry.sync.wandb.live import Watcher
from runferry.sync.wandb.live_client import LiveServer
from runferry.sync.wandb.local import read_disks
from runferry.trackers.wandb import address, connection, login
from runferry.trackers.wandb.core import Core
from runferry.trackers.wandb.login import find_server
from runferry.trackers.wandb.server import Server
from runferry.trackers.wandb.service import Service
from runferry.workflow import bayes
from runferry.workflow.best_run import write_best
from support.errors.provoking import Row, World, elsewhere, made

URL = "http://127.0.0.1:1"
SERVER = Server(URL, "key", "WANDB_API_KEY")


def _adopted(words: str, name: str) -> Row:
    return Row(
        "sync/adopt.py", words, lambda world: adopt_segments([world.tmp / name], world.tmp / "results", "adopted")
    )


def _clean(words: str, **given: Any) -> Row:
    usual = {"older_than": None, "environments": False, "paths": [Path("nowhere")], "dry_run": True}
    options: Any = SimpleNamespace(**{**usual, **given})
    return Row("cli/housekeeping.py", words, lambda _: housekeeping._clean(options))


def _renamed(world: World) -> None:
    housekeeping._rename(SimpleNamespace(paths=[world.tmp]))  # type: ignore[arg-type]


def _watched(world: World) -> None:
    with watch.only_watcher([world.tmp]), watch.only_watcher([world.tmp]):
        pass


def _not_writable(world: World) -> None:
    folder = RunFolder(world.run())
    folder.wandb_folder.touch()
    make_folders(folder.wandb_folder)


def _log_is_a_folder(world: World) -> None:
    folder = RunFolder(world.run())
    folder.log_file.mkdir()
    with open_log(folder):
        pass


def _disk(
    words: str, *segments: bytes, attempts: list[dict[str, Any]] | None = None, module: str = "sync/wandb/local.py"
) -> Row:
    def provoke(world: World) -> None:
        folder = world.run(attempts)
        for number, content in enumerate(segments):
            world.file(f"results/e/r/wandb/offline-run-{number}-r/run-{number}.wandb", content)
        read_disks(RunFolder(folder))

    return Row(module, words, provoke)


def _rows_without_a_run(world: World) -> None:
    from runferry.trackers.wandb.log.framing import write_log
    from runferry.trackers.wandb.log.messages import parser

    folder = world.run()
    record = parser("Record").__self__(num=1)
    item = record.history.item.add()
    item.key, item.value_json = "loss", "1"
    write_log(folder / "wandb" / "offline-run-1-a" / "run-a.wandb", [record.SerializeToString()])
    read_disks(RunFolder(folder))


def _at_work(world: World) -> None:
    from runferry.system.processes import start_of

    own = {"host": socket.gethostname(), "pid": os.getpid(), "pid_start": start_of(os.getpid()), "outcome": "running"}
    folder = RunFolder(world.run([{**own, "job": None}]))
    take_turn(Attempt.begin(folder, ["true"]), print)


def _no_workdir(world: World) -> None:
    folder = RunFolder(world.run(workdir="/nowhere"))
    Execution(folder, folder.read_run(), *[None] * 5).run(None, None)  # type: ignore[arg-type]


def _too_few_gpus(_: World) -> None:
    launch_pack._lanes(pack.Pack(2, 2, None, {}), {"CUDA_VISIBLE_DEVICES": "0,1"})


def _outside_a_step(world: World) -> None:
    world.patch.delenv("SLURM_NODEID", raising=False)
    multi_node.this_node()


def _on_nodes(words: str, job: str | None) -> Row:
    def provoke(world: World) -> None:
        world.patch.setenv("PATH", str(world.tmp))
        world.patch.delenv("SLURM_JOB_ID", raising=False)
        if job:
            world.patch.setenv("SLURM_JOB_ID", job)
        world.patch.setattr(multi_node.signal, "pthread_sigmask", lambda *_: None)
        multi_node.launch_on_nodes(RunFolder(world.run()))

    return Row("launch/multi_node.py", words, provoke)


def _tasks_without_srun(world: World) -> None:
    world.patch.setenv("PATH", str(world.tmp))
    world.patch.setenv("SLURM_JOB_ID", "7")
    told = {"tasks": 2, "command": ["true"], "environment": {}}
    tasks.launch_tasks(RunFolder(world.run()), world.file("told", json.dumps(told)))


def _lock_lost(world: World) -> None:
    with results_lock(world.tmp, print) as hold:
        (world.tmp / FOLDER / "holder.json").write_text(json.dumps({"name": "other", "host": "login2"}))
        hold.check()


def _locked(world: World) -> None:
    with results_lock(world.tmp, print), results_lock(world.tmp, print, wait=False):
        pass


def _changed_sweep(world: World) -> None:
    definition = {
        "program": "t.py",
        "method": "bayes",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"a": {"min": 0.0, "max": 1.0}},
    }
    sweep = str(world.file("sweep.yaml", json.dumps(definition)))
    experiment = made({"e": {"sweep": sweep, "count": 1, "runs_per_round": 1}})["e"]
    file = bayes._chosen_file(world.tmp, 1)
    world.file(str(file.relative_to(world.tmp)), json.dumps([{"id": "other", "parameters": {"a": 1}, "repetition": 0}]))
    bayes.choose(experiment, world.tmp, 1, print)


CONNECTION = "trackers/wandb/connection.py"
GONE = "tests/sync/wandb/test_upload_words.py::test_the_words_of_an_upload"
WORDS = "tests/sync/wandb/test_upload_words.py::test_the_words_of_a_wandb_sync"


def _opened(world: World, answer: bytes | Exception) -> None:
    def open_(*_: Any, **__: Any) -> io.BytesIO:
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)

    world.patch.setattr(connection, "opener_for", lambda _: SimpleNamespace(open=open_))


def _http(code: int, **headers: str) -> urllib.error.HTTPError:
    message = email.message.Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return urllib.error.HTTPError(URL, code, "", message, None)


def _asked(
    words: str,
    answer: bytes | Exception,
    act: Any = lambda one: one.ask("query", {}),
    module: str = "trackers/wandb/server.py",
    **more: Any,
) -> Row:
    def provoke(world: World) -> None:
        _opened(world, answer)
        act(Server(URL, "key", "WANDB_API_KEY", **more))

    return Row(module, words, provoke)


def _found(words: str, url: str, module: str = "trackers/wandb/login.py", **variables: str) -> Row:
    def provoke(world: World) -> None:
        for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
            world.patch.delenv(name, raising=False)
        world.patch.setattr(login, "held_key", lambda: None)
        world.patch.setenv("NETRC", str(world.tmp / "netrc"))
        world.file("netrc", variables.get("netrc", ""))
        find_server(url)

    return Row(module, words, provoke)


def _wandb_says_nothing(world: World) -> None:
    world.patch.setattr(address.sys, "executable", "/bin/false")
    address._wandbs_own_base_url()


def _live(words: str, status: int, content: bytes = b"{}", error: Exception | None = None) -> Row:
    def provoke(world: World) -> None:
        live = LiveServer(SERVER, 1)

        def post(*_: Any, **__: Any) -> Any:
            if error:
                raise error
            return SimpleNamespace(status_code=status, headers={}, content=content)

        world.patch.setattr(live._session, "post", post)
        live.upsert("entity", "project", "run")

    return Row("sync/wandb/live_client.py", words, provoke)


def _core(words: str, script: str) -> Row:
    def provoke(world: World) -> None:
        from runferry.trackers.wandb import core

        world.patch.setattr(core, "START_SECONDS", 0.2)
        binary = world.program("wandb-core", f"PATH=/bin:/usr/bin; {script}")
        with (world.tmp / "errors").open("w") as errors:
            Core.start(binary, world.tmp, {}, errors.fileno())

    return Row("trackers/wandb/core.py", words, provoke)


def _place(world: World) -> None:
    rounds.run_of_place(world.tmp / "rounds" / "1" / "1.json")


def _settled(words: str, attempts: list[dict[str, Any]]) -> Row:
    return Row("runs/pack.py", words, lambda world: pack.settle_run(RunFolder(world.run(attempts))))


def _no_best(world: World) -> None:
    world.run([{"outcome": "failed"}])
    write_best(world.tmp / "results" / "e", ["r", "s"], {"name": "loss"})


def _known_trouble(world: World) -> None:
    folder = RunFolder(world.run())
    folder.trained_file.touch()
    world.patch.delenv("WANDB_BASE_URL", raising=False)
    RecentFailure(folder.path.parents[1]).remember(URL, f"{URL}: found HTTP 503, expected 200")
    sync([folder], Limits(), with_trained=True)


def _ending(_: World) -> None:
    service: Any = SimpleNamespace(_changed=contextlib.nullcontext(), _owned=[], _ending=True)
    Service._core_for(service, 1, joins=False)


def _look_fails(_: World) -> None:
    def look(*_: Any) -> None:
        message = f"{URL}: found HTTP 503, expected 200"
        raise ServerError(message)

    run = SimpleNamespace(problem=None, read=SimpleNamespace(run={"run_id": "r"}))
    followed = SimpleNamespace(begun=False, run=run, project="p", entity="e", base_url=None, read=lambda: None)
    followed.place = ("e", "p", "r")
    asked = SimpleNamespace(server=SimpleNamespace(look=look))
    watcher: Any = SimpleNamespace(_followed={"r": followed}, _server=lambda _: asked)
    Watcher._begin(watcher)


def _run_again(world: World) -> None:
    world.patch.setenv("RUNFERRY_RETRY", "2")
    check_retry([RunFolder(world.run([{"attempt": 1, "outcome": "failed", "reason": "failed", "message": None}]))])


ROWS = [
    Row("cli/housekeeping.py", "the folder of one run", _renamed),
    Row(
        "trackers/wandb/service.py",
        "found no process that has asked for it",
        lambda _: Service._start_core(SimpleNamespace(_installed=None)),  # type: ignore[arg-type]
    ),
    Row("launch/retries.py", "is not run again: ", _run_again),
    Row("launch/launch.py", "found no command in it", lambda world: launch(RunFolder(world.run()))),
    _adopted("found no such folder", "none"),
    Row("launch/node_files.py", "would be lost", _not_writable),
    Row("launch/node_files.py", "a file to add to", _log_is_a_folder),
    _clean("found nothing to delete"),
    _clean("the folder of results", environments=True),
    Row("sync/watch.py", "found no such folder", lambda world: watch.results_folders([world.tmp / "no"])),
    Row("sync/watch.py", "watches it already", _watched),
    _disk("{}", b"something else"),
    _disk("found no record on disk"),
    Row("sync/wandb/local.py", "no record of their run", _rows_without_a_run),
    _disk(
        "still training",
        attempts=[{"outcome": "running", "host": "elsewhere", "pid": 1}],
        module="sync/outcome.py",
    ),
    Row("launch/takeover.py", "at work", _at_work),
    Row("launch/macros.py", "no result", lambda world: macros._checkpoints(world.tmp, "best.json", "first")),
    Row("launch/execution.py", "found no such folder", _no_workdir),
    Row("launch/pack.py", "GPUs", _too_few_gpus),
    Row("sync/wandb/live.py", "{}", _look_fails),
    _live("expected data", 200, b'{"errors": [{"message": "no such project"}]}'),
    _live("{}: found HTTP {}, expected 200", 503),
    _live("{}", 401),
    _live("{}: found HTTP {}, expected 200", 404),
    _live("not W&B's", 200, b"<html>"),
    _live("could not be reached", 0, error=requests.ConnectionError()),
    Row("launch/multi_node.py", "SLURM_NODEID", _outside_a_step),
    _on_nodes("found no Slurm job", None),
    _on_nodes("srun: found no such program", "7"),
    Row("launch/tasks.py", "srun: found no such program", _tasks_without_srun),
    Row("launch/task.py", "found no task to run", lambda _: task.run_task("runferry-tasks-none")),
    Row("runs/pack.py", "found no runs.json", lambda world: pack.read_pack(world.tmp)),
    _settled("found: attempt", [{"message": "no data"}]),
    _settled("found no attempt", []),
    Row("report/data.py", "found no such folder", lambda world: read_experiment(world.tmp / "none")),
    Row("report/data.py", "found no run in it", lambda world: read_experiment(world.tmp)),
    Row("sync/lock.py", "expected to hold the lock", _lock_lost),
    Row("sync/lock.py", "found another runferry sync", _locked),
    Row("workflow/bayes.py", "of another command", _changed_sweep),
    Row("config/rounds.py", "found no such file", _place),
    Row("runs/folder.py", "found no such folder", lambda world: find_run_folders(world.tmp / "none")),
    Row("runs/folder.py", "found no run in it", lambda world: find_run_folders(world.tmp)),
    Row("runs/folder.py", "found no run.json", lambda world: RunFolder(world.tmp).read_run()),
    Row("workflow/best_run.py", "a value of", _no_best),
    Row("runs/folder.py", "found no runs.tsv", lambda world: runs_of(world.tmp)),
    _found("found no key", URL),
    _found("WANDB_BASE_URL: found", "ftp://w.example", "trackers/wandb/address.py"),
    _found("a netrc file", URL, netrc="machne x"),
    Row("trackers/wandb/address.py", "to name its server", _wandb_says_nothing),
    _asked("no default entity", b'{"data": {"viewer": null}}', lambda one: one.default_entity()),
    _asked("found an answer without", b'{"data": {}}', lambda one: one.runs("e", "p", ["r"])),
    _asked("expected data", b'{"errors": [{"message": "no such field"}]}'),
    _asked("{}{}", _http(429, Retry_After="9999"), module=CONNECTION, deadline=5),
    _asked("{}", _http(401), module=CONNECTION),
    _asked("{}", _http(302, Location="http://w.example/login"), module=CONNECTION),
    _asked("nothing was sent", ConnectionRefusedError(), module=CONNECTION),
    _asked("not JSON", b"<html>", module=CONNECTION),
    Row("runs/folder.py", "{}", lambda world: RunFolder(world.file("run.json", "[]").parent).read_run()),
    elsewhere("sync/upload_process.py", "could not be started", f"{GONE}_whose_program_is_gone"),
    elsewhere("sync/wandb/upload.py", "could not be started", f"{WORDS}_without_any_folder_for_its_files"),
    elsewhere("sync/wandb/upload.py", "and said", f"{WORDS}_that_fails"),
    Row("sync/engine.py", "{}", _known_trouble),
    _core("within", "sleep 5"),
    _core("found it ended", "exit 3"),
    Row("trackers/wandb/service.py", "about to end", _ending),
    elsewhere(
        "sync/wandb/upload.py",
        "{}",
        "tests/sync/wandb/test_carrier_faults.py::test_a_key_that_is_refused_stops_it_at_once_with_exit_code_1_and_its_source_is_named",
    ),
    elsewhere(
        "sync/upload_process.py",
        "at work after",
        "tests/sync/wandb/test_carrier.py::test_a_server_that_never_answers_is_left_in_time_and_no_process_stays",
    ),
]

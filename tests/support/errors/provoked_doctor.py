"""The errors of `runferry doctor`, of the library and of runs that are launched without the workflow."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from runferry import api
from runferry.cli import doctor_server
from runferry.cli import launch as commands_launch
from runferry.cli.main import _parser
from runferry.config.loading import read_config
from runferry.config.single_run import make_single_run
from runferry.doctor import probe
from runferry.doctor.answer import answer_of
from runferry.doctor.server import made_up, questions
from runferry.doctor.site import find_site
from runferry.errors import RunferryError
from runferry.sync.wandb import upload
from runferry.trackers.wandb.server import Server
from support.errors.provoking import Row, World, elsewhere


def _answer(words: str, script: str | None, seconds: float = 5) -> Row:
    def provoke(world: World) -> None:
        world.program("asked" if script is not None else "another", f"PATH=/bin:/usr/bin; {script}")
        answer_of("asked", seconds=seconds)

    return Row("doctor/answer.py", words, provoke, finding=True)


def _not_started(world: World) -> None:
    world.program("asked").write_bytes(b"no program")
    answer_of("asked")


def _submitted(words: str, said: str, *accounts: str) -> Row:
    def provoke(world: World) -> None:
        world.patch.setattr(probe, "known_accounts", lambda: list(accounts))
        world.patch.setattr(probe, "payers", list)
        world.patch.setattr(probe, "server_url", lambda _: "https://api.wandb.ai")
        world.patch.setattr(probe, "account_for", lambda *_, **__: None)
        world.patch.setattr(probe, "answer_of", lambda *_, **__: said)
        world.file("config/config.yaml", "cluster: narval")
        options: Any = SimpleNamespace(gpu=False, seconds=None)
        probe._submit(find_site(None, None, [], world.tmp), options, world.tmp)

    return Row("doctor/probe.py", words, provoke, finding=True)


def _doctor(world: World) -> None:
    world.file("config/config.yaml", "cluster: local")
    given = _parser()[0].parse_args(["doctor", "--probe"])
    given.command(given)


def _learn(name: str) -> Callable[[World], None]:
    def provoke(world: World) -> None:
        world.program("nothing")
        given = _parser()[0].parse_args(["doctor", "--learn", name])
        given.command(given)

    return provoke


def _both(world: World) -> None:
    given = _parser()[0].parse_args(["doctor", "--server", "--probe"])
    given.command(given)


def _no_wandb(world: World) -> None:
    world.patch.setattr(made_up.sys, "executable", str(world.program("python", "echo no wandb here >&2; exit 1")))
    made_up.write_segment(made_up.MadeUpSegment("r", "e", "p"), world.tmp / "segment")


def _refused_run(world: World) -> None:
    world.patch.setattr(upload, "send", lambda *_: {world.tmp: 403})
    doctor_server._send([], Server("http://127.0.0.1:1", "0" * 40, "WANDB_API_KEY"), world.tmp)


def _empty_profile(world: World) -> None:
    world.file("profile/config.yaml", "[]")
    find_site(str(world.tmp / "profile"), None, [], world.tmp)


def _without_command(world: World) -> None:
    given = _parser()[0].parse_args(["launch", "--name", "x", str(world.tmp)])
    given.run_command = []
    commands_launch._launch(given)


def _bayes(world: World) -> None:
    definition = {
        "program": "t.py",
        "method": "bayes",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"a": {"min": 0.0, "max": 1.0}},
        "run_cap": 2,
    }
    sweep = str(world.file("sweep.yaml", json.dumps(definition)))
    api.create_runs({"wandb": {"project": "p"}, "experiments": {"e": {"sweep": sweep}}}, world.tmp)


def _in_a_thread(world: World) -> None:
    caught: list[BaseException] = []

    def launch() -> None:
        try:
            api.launch(world.run())
        except RunferryError as error:
            caught.append(error)

    thread = threading.Thread(target=launch)
    thread.start()
    thread.join()
    raise caught[0].with_traceback(caught[0].__traceback__)


def _new(words: str, *, run: str | None = None, folder: str = "results/e/r", **given: Any) -> Row:
    def provoke(world: World) -> None:
        if run is not None:
            world.file(f"{folder}/run.json", run)
        make_single_run(world.tmp / folder, **{"command": ["true"], **given})

    return Row("config/single_run.py", words, provoke)


ROWS = [
    Row("cli/doctor_learn.py", "a name of small letters", _learn("My-Cluster")),
    Row("cli/doctor_learn.py", "found no sbatch", _learn("mycluster")),
    _answer("there is no {}", None),
    _answer("failed (exit code", "echo no >&2; exit 3"),
    _answer("did not answer", "exec sleep 5", seconds=0.1),
    Row("doctor/answer.py", "could not be started", _not_started, finding=True),
    _submitted("several accounts", "", "def-a", "def-b"),
    _submitted("expected a job's id", "no number"),
    elsewhere(
        "doctor/probe.py",
        "still pending",
        "tests/cluster/test_doctor_probe.py::test_a_job_that_waits_for_too_long_is_cancelled_and_that_is_a_line",
    ),
    Row("config/profiles.py", "found no profile", lambda world: find_site(str(world.tmp), None, [], world.tmp)),
    Row("config/profiles.py", "profile: found {}", lambda world: find_site("narvall", None, [], world.tmp)),
    Row("config/profiles.py", "found no keys", _empty_profile),
    Row("cli/doctor.py", "which has no Slurm", _doctor),
    Row("cli/doctor.py", "found --probe too", _both),
    Row("doctor/server/made_up.py", "no segment written", _no_wandb),
    Row(
        "doctor/server/place.py",
        "found no answer",
        lambda _: questions.viewer(Server("http://127.0.0.1:1", "0" * 40, "WANDB_API_KEY")),
    ),
    Row("cli/doctor_server.py", "", _refused_run),
    Row("cli/launch.py", "without a command", _without_command),
    Row("config/loading.py", "no mapping of keys", lambda world: read_config(world.file("config.yaml", "[]"))),
    Row("api.py", "found a bayes sweep", _bayes),
    Row("api.py", "found the thread", _in_a_thread),
    _new("and a command", command=[]),
    _new("one argument an item", command="true"),
    _new("the record of an environment", environment="none.json"),
    _new("the run of another command", run=json.dumps({"id": "other", "command": ["false"]})),
    _new("found no run record in it", run="{"),
]

"""Name the W&B runs of a job; loaded by the training's Python with wandb (see `hook_start`).

It is copied beside `sitecustomize.py`, so it must do with the standard library of whatever Python the training has.

A job may call `wandb.init` as often as it likes: folds, seeds, ranks, threads. Where the script gives a W&B run no id,
the id comes from the launcher, which knows those of the other processes and of earlier attempts (`run_ids`); it is put
in where wandb (0.22 to 0.31) would make one up, in `_WandbInit.set_run_id`. Whatever goes wrong here, wandb does what
it does by itself.
"""

from __future__ import annotations

import os
import sys
from typing import Any

IDS, RUN_NAME, CORE = "ids", "name", "core"
"""In the file that the launcher has written: the socket that gives out ids, the run's name, and the wandb-core that
WANDB_SERVICE stands for."""
MAGIC = b"R"
"""The first byte of a question on the socket, on which wandb's own messages begin with W."""
ANSWER_SECONDS = 60.0

_OF_THE_JOB = ("RUNFERRY_DATA", "SLURM_TMPDIR", "TMPDIR", "SLURM_JOB_ID")
"""Variables whose values are others in each attempt, and may be part of arguments."""

_SWEEPS = {"wandb.sdk.wandb_sweep": "sweep", "wandb.wandb_agent": "agent"}
"""Modules of wandb's, each with a function that asks the server for a sweep or what to run of it."""

_job: dict[str, str] = {}
_loading: dict[int, Any] = {}
"""By process: what one thread holds while wandb loads its settings. A lock that was held at a fork stays held."""
_unused: dict[int, str] = {}
"""By thread: the id that it was given last, until a W&B run begins with it."""


def find(name: str, path: Any, job: dict[str, str]) -> Any:
    """Find a module of wandb's as Python does, to be changed when it is loaded.

    Parameters
    ----------
    name
        One of those that `hook_start` waits for.
    path
        Where Python looks for it.
    job
        What the launcher says.
    """
    import importlib.machinery

    global _job  # noqa: PLW0603 - the one that is read at the start, of which what is set here is set again later
    _job = job
    watch = _watch_sweeps if name in _SWEEPS else _watch_init
    watch = _watch_artifacts if name.endswith(".artifact") else watch
    spec = importlib.machinery.PathFinder.find_spec(name, path)
    if spec is not None and spec.loader is not None:
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            watch(module)

        spec.loader.exec_module = exec_module
    return spec


def _watch_init(module: Any) -> None:
    """Have each `wandb.init` ask for its id."""
    try:
        init = module._WandbInit
        set_run_id, begin = init.set_run_id, init.init
    except AttributeError as error:
        _say(f"this wandb has no {error.name}; each wandb.init gets an id of wandb's own")
        return

    def ask_first(self: Any, settings: Any) -> Any:
        try:
            if not settings._noop:
                _name_run(settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
            _say(f"the W&B run gets an id of wandb's own ({type(error).__name__}: {error})")
        return set_run_id(self, settings)

    def keep_unused(self: Any, settings: Any, *arguments: Any, **keywords: Any) -> Any:
        # From here on wandb-core may know the id, which it takes once only.
        unused = _unused.pop(_thread(), None)
        run = begin(self, settings, *arguments, **keywords)
        if unused and run.id != unused:
            # wandb has returned the W&B run that was open already.
            _unused[_thread()] = unused
        return run

    init.set_run_id, init.init = ask_first, keep_unused
    _watch_settings(init)


def _watch_settings(init: Any) -> None:
    """Have each `wandb.init` (wandb's class for it) see the settings whole, and stay offline where the job is."""
    create = init.__init__

    def load_first(self: Any, *arguments: Any, **keywords: Any) -> None:
        create(self, *arguments, **keywords)
        try:
            _load_settings(self._wl)
        except Exception as error:  # noqa: BLE001 - wandb meets it again, and says it
            _say(f"wandb's settings: {type(error).__name__}: {error}")

    init.__init__ = load_first
    log_in = getattr(init, "maybe_login", None)
    if log_in is None:
        return

    def stay_offline(self: Any, settings: Any, *arguments: Any, **keywords: Any) -> Any:
        try:
            _stay_offline(self._wl.settings, settings)
        except Exception as error:  # noqa: BLE001 - as above
            _say(f"mode= of wandb.init is left as it is ({type(error).__name__}: {error})")
        return log_in(self, settings, *arguments, **keywords)

    init.maybe_login = stay_offline


def _load_settings(wandb_setup: Any) -> None:
    """Have the first thread load wandb's settings alone.

    wandb (0.22 to 0.31) shows them to the other threads before it has read the variables: a `wandb.init` at that moment
    takes the folder, the entity and the mode of nobody.
    """
    import threading

    with _loading.setdefault(os.getpid(), threading.Lock()):
        wandb_setup.settings  # noqa: B018 - to look at them is to load them


def _stay_offline(before: Any, settings: Any) -> None:
    """Have a script that asks for W&B's server in an offline job log offline, where that can be.

    Parameters
    ----------
    before
        The process's settings.
    settings
        What this `wandb.init` gives.
    """
    if _job.get("WANDB_MODE") != "offline":
        return
    together = before.model_copy()
    together.update_from_settings(settings)
    if together.mode == "online":
        settings.mode = "offline"
        _say('mode="online" of the script is overridden: the job is offline (wandb.mode in config.yaml)')
    elif together.mode == "shared":
        _say('the script says mode="shared", and the job is offline (wandb.mode in config.yaml)')


def _watch_sweeps(module: Any) -> None:
    """Say before it fails, or waits for a server out of reach (0.27 for long), what a sweep of W&B's cannot do here."""
    import functools

    name = _SWEEPS[module.__name__]
    call = getattr(module, name, None)
    if call is None:
        return

    @functools.wraps(call)
    def say_first(*arguments: Any, **keywords: Any) -> Any:
        if os.environ.get("WANDB_MODE") == "offline":
            _say(f"wandb.{name} asks W&B's server, which an offline job does not; give the sweep to runferry instead")
        return call(*arguments, **keywords)

    setattr(module, name, say_first)


def _watch_artifacts(module: Any) -> None:
    """Have artifacts note by absolute paths where files lie, where they still do when they are synced."""
    try:
        add = module.Artifact._add_local_file
    except AttributeError as error:
        _say(f"this wandb has no {error.name}; an artifact's file by a relative path may not be found at the sync")
        return

    def add_absolute(self: Any, name: Any, path: Any, *arguments: Any, **keywords: Any) -> Any:
        made = getattr(self, "_tmp_dir", None)
        if made is not None and str(path).startswith(made.name) and "policy" in keywords:
            # What `new_file` has written: up to 0.27 it stays in a temporary folder of the process.
            keywords["policy"] = "mutable"
        entry = add(self, name, path, *arguments, **keywords)
        if getattr(entry, "local_path", None):
            entry.local_path = os.path.abspath(entry.local_path)
        return entry

    module.Artifact._add_local_file = add_absolute


def _name_run(settings: Any) -> None:
    """Set what the script has left open of a W&B run's settings: id, name, group, and whether it goes on."""
    if not str(settings.root_dir).startswith("~"):
        # wandb-core runs in another folder.
        settings.root_dir = os.path.abspath(settings.root_dir)
    _find_service()
    if settings.run_group is None:
        settings.run_group = _job.get("WANDB_RUN_GROUP")
    # wandb finds the id by itself.
    by_itself = settings.resume_from or settings.resume == "auto"
    if settings.run_id is None and by_itself:
        return
    # The variable's; a name that the script gives, also by the variable, is another.
    ours = settings.run_name in (None, _job[RUN_NAME])
    asked = {"id": settings.run_id} if settings.run_id else _describe(settings, None if ours else settings.run_name)
    answer = _ask(asked)
    if settings.run_id is None:
        settings.run_id = _unused[_thread()] = answer["id"]
    if ours:
        # Further W&B runs are named by W&B, as online.
        settings.run_name = _job[RUN_NAME] if answer["first"] else None
    # Online the server may have it from a job of which there is no trace here.
    continues = answer["continues"] or ("id" not in asked and not settings._offline)
    if continues and settings.resume is None and not settings.fork_from and not settings.resume_from:
        settings.resume = "allow"


def _find_service() -> None:
    """Have the launcher own this wandb's core, also where it did not find this wandb by the job's PATH."""
    binary = os.path.join(os.path.dirname(os.path.abspath(sys.modules["wandb"].__file__ or "")), "bin", "wandb-core")
    service = os.environ.get("WANDB_SERVICE")
    # One that wandb has started itself stays.
    if (service and (service != _job.get("WANDB_SERVICE") or binary == _job.get(CORE))) or not os.path.isfile(binary):
        return
    token = _ask({"core": binary})["token"]
    if token:
        _job["WANDB_SERVICE"] = os.environ["WANDB_SERVICE"] = token
        _job[CORE] = binary
    elif service:
        # It is another version's.
        del _job["WANDB_SERVICE"], os.environ["WANDB_SERVICE"]


def _describe(settings: Any, name: str | None) -> dict[str, Any]:
    """Describe a W&B run by what is the same when the job is continued."""
    import hashlib
    import threading

    rank = os.environ.get("RANK")
    if rank is None and os.environ.get("SLURM_NTASKS", "1") != "1":
        rank = os.environ.get("SLURM_PROCID")
    if rank is None:
        rank = os.environ.get("LOCAL_RANK")
    multiprocessing = sys.modules.get("multiprocessing.process")
    identity = list(multiprocessing.current_process()._identity) if multiprocessing else []
    thread = threading.current_thread()
    # Threads with names of their own for their W&B runs may come in any order.
    apart = name is None and thread is not threading.main_thread()
    program, *rest = getattr(sys, "argv", None) or [""]
    arguments = "\0".join(rest)
    for variable in _OF_THE_JOB:
        value = os.environ.get(variable, "")
        arguments = arguments.replace(value, variable) if len(value) > 1 else arguments
    return {
        "rank": rank,
        "program": os.path.basename(program),
        "arguments": hashlib.sha256(arguments.encode(errors="surrogateescape")).hexdigest()[:12],
        "process": identity,
        "name": name,
        "job_type": settings.run_job_type,
        "thread": thread.name if apart else None,
        "unused": _unused.pop(_thread(), None),
    }


def _thread() -> int:
    import threading

    return threading.get_ident()


def _ask(asked: dict[str, Any]) -> dict[str, Any]:
    import json
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(_job[IDS])
        connection.sendall(MAGIC + json.dumps(asked).encode() + b"\n")
        with connection.makefile("rb") as answer:
            return json.loads(answer.readline())


def _say(text: str) -> None:
    sys.stderr.write(f"runferry: {text}\n")

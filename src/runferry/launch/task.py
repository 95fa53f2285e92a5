"""Run the command of a run as one of its tasks: once, with the variables by which the tasks find each other."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.errors import LaunchError
from runferry.launch.command import Command, not_started
from runferry.launch.listener import KEPT_VARIABLES, SLURMS
from runferry.launch.node_files import note
from runferry.launch.parts import DEVICES, devices_of, threads_of_part
from runferry.launch.signals import PassingOn, SignalWatch, Witness
from runferry.runs.attempt import used_by_children
from runferry.system.processes import end_session

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

#: Seconds in which what the command leaves behind may end by itself, and from the SIGTERM after it to the SIGKILL.
_LEFTOVER_SECONDS, _GRACE_SECONDS = 1.0, 10.0

#: The same for the command, where the process that started the tasks was killed.
_ORPHAN_SECONDS = 1.0

#: Seconds in which a signal that Slurm sent to this task may come from the launcher once more.
_SAME_SIGNAL_SECONDS, _SAME_SIGNAL_HERE_SECONDS = 20.0, 1.0


def run_task(name: str) -> int:
    """Run the command of a task; return its exit code, 128 + N when signal N ended it.

    Parameters
    ----------
    name
        The socket at which `runferry.launch.tasks` listens.

    Raises
    ------
    LaunchError
        When this process is no task.
    """
    with socket.socket(socket.AF_UNIX) as above:
        try:
            number = int(os.environ["SLURM_PROCID"])
            above.connect(f"\0{name}")
            length = struct.unpack("I", above.recv(4, socket.MSG_WAITALL))[0]
            told: dict[str, Any] = json.loads(above.recv(length, socket.MSG_WAITALL))
        except (KeyError, ValueError, OSError, struct.error) as error:
            message = "found no task to run, expected to be started by `runferry launch` for a run with resources.tasks"
            raise LaunchError(f"{message} ({error!r})") from error
        return_code = _run(told, above)
        with suppress(OSError):
            above.sendall(
                json.dumps({"task": number, "return_code": return_code, "used": used_by_children().to_json()}).encode()
            )
    return return_code if return_code >= 0 else 128 - return_code


def variables_of_task(told: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a task's command.

    Parameters
    ----------
    told
        What the launcher says of the run's tasks; the variables of the config in it stay as they are.
    given
        Of this process, with what Slurm has set for the task.
    """
    kept = {name: text for name, text in told["environment"].items() if name in KEPT_VARIABLES or not _is_slurms(name)}
    if "SLURM_TMPDIR" in told["environment"]:
        # A site's prolog sets it for each task, or does not.
        kept["SLURM_TMPDIR"] = told["environment"]["SLURM_TMPDIR"]
    tasks, local = told["tasks"], int(given["SLURM_LOCALID"])
    slurms = {name: text for name, text in given.items() if _is_slurms(name)}
    of_task = {
        **told["master"],
        # What sbatch sets where it is asked for tasks, and srun does not everywhere; Lightning wants it.
        "SLURM_NTASKS_PER_NODE": str(tasks),
        **slurms,
        **threads_of_part(kept, tasks),
        "RANK": given["SLURM_PROCID"],
        "LOCAL_RANK": given["SLURM_LOCALID"],
        "WORLD_SIZE": str(tasks),
        "LOCAL_WORLD_SIZE": str(tasks),
        **_gpus(kept, told["gpus_per_task"], local),
    }
    of_task = {name: text for name, text in of_task.items() if name not in told["own"]}
    if told["contained"]:
        # There is no hook in a container that gives each rank an id.
        run = kept.get("WANDB_RUN_ID")
        if run and local:
            of_task["WANDB_RUN_ID"] = f"{run}-{local + 1}"
        of_task |= {f"APPTAINERENV_{name}": text for name, text in of_task.items() if name != "SLURM_TMPDIR"}
    return {**kept, **of_task}


def _gpus(variables: Mapping[str, str], each: int | None, local: int) -> dict[str, str]:
    """Return the variables that name a task's own GPUs; none where it sees all of the run's."""
    if each is None:
        return {}
    own = slice(local * each, (local + 1) * each)
    # On a machine that hands out none, they are counted.
    found = devices_of(variables) or {DEVICES[0]: [str(number) for number in range(own.stop)]}
    return {name: ",".join(names[own]) for name, names in found.items()}


def _is_slurms(name: str) -> bool:
    return name.startswith(SLURMS)


def _run(told: Mapping[str, Any], above: socket.socket) -> int:
    """Run the command, and return its exit code or minus the number of the signal that ended it."""
    variables = variables_of_task(told, os.environ)
    twice = _SAME_SIGNAL_SECONDS if "SLURM_JOB_ID" in os.environ else _SAME_SIGNAL_HERE_SECONDS
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND)
    # What Slurm has opened for the task, for MPI, is the command's.
    command = Command(told["command"], Path(told["workdir"]), variables, log, keep=None)
    with SignalWatch() as signals, Witness() as witness:
        signals.preparing = False
        try:
            process = command.start()
        except (OSError, ValueError) as error:
            ending = not_started(told["command"], variables.get("PATH", os.defpath), error)
            note(log, str(ending.message))
            return ending.status
        _pass_signals_on(process, PassingOn(twice), signals, witness, above)
        if left := end_session(process.pid, _LEFTOVER_SECONDS, _GRACE_SECONDS):
            note(log, f"task {os.environ['SLURM_PROCID']}: ended what the command left running: {', '.join(left)}")
        return process.wait()


def _pass_signals_on(
    process: subprocess.Popen[bytes],
    passing: PassingOn,
    signals: SignalWatch,
    witness: Witness,
    above: socket.socket,
) -> None:
    """Pass each signal on once, whether it came from Slurm or from the launcher, until the command has ended."""
    sources: list[Any] = [signals, witness, above]
    # WNOWAIT: the process id stays taken, and may be signalled, until it is waited for.
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        ready = select.select(sources, [], [], passing.due_in())[0]
        received = [number for number in signals.read() if number != signal.SIGCHLD] if signals in ready else []
        if above in ready:
            said = above.recv(4096)
            received += said
            if not said:
                sources.remove(above)
                end_session(process.pid, 0.0, _ORPHAN_SECONDS)
        for number in received:
            passing.received(number)
        for number in witness.read() if witness in ready else ():
            passing.was_sent_to_all(number)
        passing.act(process.pid)

"""Start the tasks of a run on its node, pass signals on to each, and wait for them.

In a job of Slurm's `srun` starts them, as the sites' own templates do, elsewhere they are plain processes with the same
variables. This module runs between the launcher, which owns the attempt, wandb-core and the log of all tasks, and the
processes that each run the command once (`runferry.launch.task`). These connect to it, on this node: so it tells them
what to run and which signals have come, and they notice when it is killed.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.errors import LaunchError
from runferry.launch.listener import variables_of_step
from runferry.launch.multi_node import free_port, shield_srun, srun_call
from runferry.launch.node_files import note
from runferry.launch.signals import SignalWatch
from runferry.runs.attempt_record import Used
from runferry.system.records import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.launch.preparation import Prepared
    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord


def tasks_call(
    folder: RunFolder, run: RunRecord, prepared: Prepared, environment: Mapping[str, str]
) -> tuple[list[str], int]:
    """Return the command that starts a run's tasks, and the open file that it must inherit.

    The file is in memory: the variables may hold a key, which belongs on no disk and no command line.
    """
    told = {
        "command": prepared.command,
        "workdir": run.workdir,
        "environment": dict(environment),
        "log": str(folder.log_file),
        "tasks": run.tasks,
        "gpus_per_task": run.gpus_per_task,
        "own": list(run.variables),
        "contained": prepared.contained,
    }
    file = os.memfd_create("runferry-tasks")
    os.write(file, json.dumps(told).encode())
    command = [sys.executable, "-P", "-m", "runferry", "launch-tasks", str(folder.path), "--told", f"/dev/fd/{file}"]
    return command, file


def used_by_tasks(file: int) -> Used:
    """Return what the tasks used that were no children of the launcher's, from the file of `tasks_call`; close it."""
    with os.fdopen(file, "rb") as kept:
        kept.seek(0)
        said: Any = json.loads(kept.read())
    # Where what starts them was killed, it is still what that was told.
    return Used() if "command" in said else from_json(Used, said, "tasks")


def launch_tasks(folder: RunFolder, told_file: Path) -> int:
    """Start the tasks of a run and wait for them; return their highest exit code.

    Parameters
    ----------
    folder
        Of the run.
    told_file
        What `tasks_call` has written.

    Raises
    ------
    LaunchError
        In a job of Slurm's where there is no srun.
    """
    told = json.loads(told_file.read_bytes())
    in_job = "SLURM_JOB_ID" in os.environ
    told["master"] = {
        "MASTER_ADDR": socket.gethostname() if in_job else "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    name = f"runferry-tasks-{secrets.token_hex(8)}"
    with SignalWatch() as signals, socket.socket(socket.AF_UNIX) as listener:
        signals.preparing = False
        # In the abstract namespace: it needs no folder, and is gone with this process.
        listener.bind(f"\0{name}")
        listener.listen(told["tasks"])
        command = [sys.executable, "-P", "-m", "runferry", "launch-tasks", str(folder.path), "--task", name]
        start = _start_by_slurm if in_job else _start_here
        running = _Running(start(command, told["tasks"]), listener, json.dumps(told).encode())
        status = running.wait(signals)
    if in_job:
        # Those that srun starts are no children of the launcher's, which reads this.
        told_file.write_text(json.dumps(running.used.to_json()))
    if running.killed:
        # As a shell's script would end by the signal of its command: memory may have run out.
        os.kill(os.getpid(), signal.SIGKILL)
    return status


@dataclass
class _Running:
    """The tasks that have been started."""

    processes: list[subprocess.Popen[bytes]]
    """Each task's, or srun's."""
    listener: socket.socket
    told: bytes
    killed: bool = False
    """Whether one was ended by a SIGKILL."""
    used: Used = field(default_factory=Used)
    """By all together, as an attempt's record has it."""
    _received: list[int] = field(default_factory=list[int])
    _tasks: dict[socket.socket, bytes] = field(default_factory=dict[socket.socket, bytes])
    """What each has said and has not been read to the end of a line."""

    def wait(self, signals: SignalWatch) -> int:
        while any(process.poll() is None for process in self.processes):
            ready = select.select([signals, self.listener, *self._tasks], [], [])[0]
            for number in signals.read() if signals in ready else ():
                if number != signal.SIGCHLD:
                    self._received.append(number)
                    for task in self._tasks:
                        _send(task, number)
            if self.listener in ready:
                self._take()
            for task in [task for task in self._tasks if task in ready]:
                self._hear(task)
        for task in list(self._tasks):
            while task in self._tasks:
                self._hear(task)
        codes = [process.returncode for process in self.processes]
        return max(code if code >= 0 else 128 - code for code in codes)

    def _take(self) -> None:
        task = self.listener.accept()[0]
        user = struct.unpack("3i", task.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
        if user != os.getuid():
            # The name can be seen by every user of the node.
            task.close()
            return
        task.sendall(struct.pack("I", len(self.told)) + self.told)
        self._tasks[task] = b""
        for number in self._received:
            # What came while it was being started.
            _send(task, number)

    def _hear(self, task: socket.socket) -> None:
        try:
            said = task.recv(4096)
        except OSError:
            said = b""
        self._tasks[task] += said
        if said:
            return
        with task:
            line = self._tasks.pop(task)
        if not line:
            return
        ended = json.loads(line)
        self.used += from_json(Used, ended["used"], "task")
        if code := ended["return_code"]:
            how = f"ended with exit code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
            note(sys.stdout.fileno(), f"task {ended['task']} {how}; the others are left to end by themselves")
            self.killed = self.killed or code == -signal.SIGKILL


def _send(task: socket.socket, number: int) -> None:
    try:
        task.sendall(bytes([number]))
    except OSError:
        # It has ended, as its end of file will say.
        return


def _start_by_slurm(command: list[str], tasks: int) -> list[subprocess.Popen[bytes]]:
    cores = os.environ.get("SLURM_CPUS_PER_TASK")
    try:
        step = subprocess.Popen(
            srun_call(1, cores, command, tasks),
            env=variables_of_step(),
            stdin=subprocess.DEVNULL,
            preexec_fn=shield_srun,  # noqa: PLW1509 - there are no threads
        )
    except FileNotFoundError as error:
        message = f"srun: found no such program on this node, expected it, which starts the {tasks} tasks of a run"
        raise LaunchError(message) from error
    return [step]


def _start_here(command: list[str], tasks: int) -> list[subprocess.Popen[bytes]]:
    of_all = {"SLURM_NTASKS": str(tasks), "SLURM_NNODES": "1", "SLURM_NODEID": "0"}
    return [
        subprocess.Popen(
            command,
            env={**os.environ, **of_all, "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)},
            stdin=subprocess.DEVNULL,
        )
        for number in range(tasks)
    ]

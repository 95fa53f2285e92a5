"""Start a launcher on each node of a run of several nodes, with `srun`, from the launcher on the first of them.

Each unpacks the environment onto its node and runs the command there once, with what `torchrun` and `accelerate` need
to find each other. This module runs between the two kinds of launchers, as a process of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runferry.errors import LaunchError
from runferry.launch.listener import variables_of_step
from runferry.system.files import write_atomically
from runferry.system.signals import JOB_SIGNALS, shield

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from runferry.runs.folder import RunFolder

#: What srun blocks and waits for; it ends its own thread with a SIGINT (Slurm 22.05).
_SRUN_WAITS_FOR = (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGALRM)

#: Seconds, and times, in which a signal is tried again where the launchers of the nodes are not there yet.
_TRY_AGAIN_SECONDS = 1.0
_TRIES = 30

# In a step of its own: what Slurm sends to a step comes to all its processes, the workers of a data loader too.
_PASS_ON = 'kill -s "$0" "$(cat "$1/$SLURM_NODEID/pid")"'


def node_folder(folder: RunFolder, node: int) -> Path:
    """Return the folder of a node's own files: its launcher's process id, and wandb's except on the first node."""
    return folder.path / "nodes" / str(node)


def this_node() -> int:
    """Return the number of this node among those of the job step, from 0.

    Raises
    ------
    LaunchError
        Outside a step of Slurm's.
    """
    try:
        return int(os.environ["SLURM_NODEID"])
    except (KeyError, ValueError) as error:
        message = "found no SLURM_NODEID, expected to be started by srun, as `runferry launch` has it do"
        raise LaunchError(message) from error


@contextmanager
def registered(folder: RunFolder, node: int) -> Generator[None]:
    """Register this process, the launcher of a node, so that signals are passed on to it."""
    file = node_folder(folder, node) / "pid"
    write_atomically(file, f"{os.getpid()}\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def launch_on_nodes(folder: RunFolder) -> int:
    """Start a launcher on every node with srun, pass signals on to them, and return their highest exit code.

    Raises
    ------
    LaunchError
        Outside a job of Slurm's, or where there is no srun.
    """
    nodes = folder.read_run().nodes
    if "SLURM_JOB_ID" not in os.environ:
        message = (
            f"run {folder.path.name}: found no Slurm job, expected one of {nodes} nodes; submit it (profiles/<cluster>)"
        )
        raise LaunchError(message)
    for node in range(nodes):
        node_folder(folder, node).mkdir(parents=True, exist_ok=True)
        # Of an attempt that was killed: its process is another's by now.
        (node_folder(folder, node) / "pid").unlink(missing_ok=True)
    # The sites name their nodes so that each reaches the others by that name.
    variables = variables_of_step() | {"MASTER_ADDR": socket.gethostname(), "MASTER_PORT": str(free_port())}
    launcher = os.getppid()
    watched = {*JOB_SIGNALS, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    command = [sys.executable, "-m", "runferry", "launch-nodes", "--node", str(folder.path)]
    try:
        step = subprocess.Popen(
            srun_call(nodes, os.environ.get("SLURM_CPUS_PER_TASK"), command),
            env=variables,
            stdin=subprocess.DEVNULL,
            preexec_fn=shield_srun,  # noqa: PLW1509 - there are no threads
        )
    except FileNotFoundError as error:
        message = "srun: found no such program on this node, expected it, which a run of several nodes needs"
        raise LaunchError(message) from error
    while (code := step.poll()) is None:
        received = signal.sigwaitinfo(watched)
        # Slurm sends to every process of the job, on all nodes: what did not come from the launcher is there already.
        if received.si_signo != signal.SIGCHLD and (received.si_pid == launcher or os.getppid() != launcher):
            _pass_on(received.si_signo, folder, nodes, variables, step)
    return code if code >= 0 else 128 - code


def _pass_on(
    number: int, folder: RunFolder, nodes: int, variables: Mapping[str, str], step: subprocess.Popen[bytes]
) -> None:
    command = ["sh", "-c", _PASS_ON, signal.Signals(number).name.removeprefix("SIG"), str(folder.path / "nodes")]
    for _ in range(_TRIES):
        done = subprocess.run(srun_call(nodes, "1", command), env=variables, stdin=subprocess.DEVNULL, check=False)
        if done.returncode == 0 or step.poll() is not None:
            return
        signal.sigtimedwait([signal.SIGCHLD], _TRY_AGAIN_SECONDS)


def srun_call(nodes: int, cores: str | None, command: list[str], tasks: int = 1) -> list[str]:
    """Return the call of srun that starts a command on so many nodes of this job, so many times on each.

    It overlaps the step in which this process runs, with all GPUs of the job, which is what srun does by itself. One
    task that fails does not have the others killed: what these have logged is not written then.
    """
    options = ["--overlap", f"--jobid={os.environ['SLURM_JOB_ID']}", f"--nodes={nodes}", f"--ntasks={nodes * tasks}"]
    options += [f"--ntasks-per-node={tasks}", "--kill-on-bad-exit=0", "--wait=0", "--cpu-bind=none"]
    return ["srun", *options, *([f"--cpus-per-task={cores}"] if cores else []), *command]


def shield_srun() -> None:
    """Make this process, which is to become srun, ignore the job's signals.

    At a SIGTERM srun has every process of its step killed with SIGKILL, on all nodes (seen with Slurm 22.05).
    """
    shield(waits_for=_SRUN_WAITS_FOR)


def free_port() -> int:
    """Return a port of this node that is free now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]

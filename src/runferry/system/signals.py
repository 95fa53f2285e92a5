"""Make helper processes ignore the signals meant for the training: wandb-core, and a step's srun."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Signals that reach a job before it is killed, and that are meant for the training alone.
JOB_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)

# The audit number of the architecture and its numbers of rt_sigaction and rt_sigprocmask (linux/audit.h, asm/unistd.h).
_ARCHITECTURES = {"x86_64": (0xC000003E, 13, 14), "aarch64": (0xC00000B7, 134, 135), "ppc64le": (0xC0000015, 173, 174)}


def shield(waits_for: Sequence[signal.Signals] = ()) -> bool:
    """Make this thread, and all that it starts from now on, ignore `JOB_SIGNALS` for ever; return False if it cannot.

    A signal that is sent to every process of a job would end wandb-core before it has written what it holds. To start
    it with the signals blocked and ignored is not enough: Go's `signal.Notify`, which it calls, undoes both, and
    wandb 0.22.3, 0.27.2 and 0.31.0 ended at SIGINT and SIGTERM. So they are ignored, and a seccomp filter answers
    "done" to the attempt to change that without doing it. It needs no privilege and cannot be undone: call it only in
    a process that never becomes the training.

    Parameters
    ----------
    waits_for
        Signals for a program that blocks signals and waits for them: it receives them although they are ignored. They
        are blocked here, and neither they nor any other can be blocked or unblocked later.
    """
    deaf_to = [number for number in JOB_SIGNALS if number not in waits_for]
    for number in deaf_to:
        signal.signal(number, signal.SIG_IGN)
    if waits_for:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, deaf_to)
        signal.pthread_sigmask(signal.SIG_BLOCK, waits_for)
    architecture = _ARCHITECTURES.get(os.uname().machine)
    if architecture is None:
        return False
    audit_number, rt_sigaction, rt_sigprocmask = architecture
    program = _ignore_sigaction(deaf_to, audit_number, rt_sigaction, rt_sigprocmask if waits_for else None)
    instructions = ctypes.create_string_buffer(program, len(program))

    class FilterProgram(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    filter_program = FilterProgram(len(program) // 8, ctypes.addressof(instructions))
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
    return (
        prctl(no_new_privileges, 1, 0, 0, 0) == 0
        and prctl(set_seccomp, filter_mode, ctypes.byref(filter_program), 0, 0) == 0
    )


def _ignore_sigaction(
    signals: Sequence[signal.Signals], audit_number: int, rt_sigaction: int, rt_sigprocmask: int | None
) -> bytes:
    """Classic BPF: rt_sigaction for one of `signals` returns 0 and does nothing; all else is allowed.

    A number of rt_sigprocmask that is given returns 0 and does nothing, too.
    """
    load, equal, give = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
    allow, answer_success = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with errno 0
    count = len(signals)
    # Offsets into struct seccomp_data: 4 the architecture, 0 the call's number, 16 its first argument. The two
    # middle numbers of an instruction say how many instructions to skip when equal and when not.
    ignored = [] if rt_sigprocmask is None else [(equal, count + 3, 0, rt_sigprocmask)]
    instructions = [
        (load, 0, 0, 4),
        (equal, 0, count + 3 + len(ignored), audit_number),
        (load, 0, 0, 0),
        *ignored,
        (equal, 0, count + 1, rt_sigaction),
        (load, 0, 0, 16),
        *((equal, count - position, 0, int(number)) for position, number in enumerate(signals)),
        (give, 0, 0, allow),
        (give, 0, 0, answer_success),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)

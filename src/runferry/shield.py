"""Makes wandb-core deaf to the signals that are meant for the training."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

#: Signals that reach a job before it is killed, and that are meant for the training alone.
JOB_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)

# The audit number of the architecture and its number of rt_sigaction (linux/audit.h, asm/unistd.h).
_ARCHITECTURES = {"x86_64": (0xC000003E, 13), "aarch64": (0xC00000B7, 134), "ppc64le": (0xC0000015, 173)}


def shield() -> bool:
    """Make this thread, and all that it starts from now on, deaf to `JOB_SIGNALS` for ever; False if it cannot be.

    A signal that is sent to every process of a job would end wandb-core before it has written what it holds. To start
    it with the signals blocked and ignored is not enough: Go's `signal.Notify`, which it calls, undoes both, and
    wandb 0.22.3, 0.27.2 and 0.31.0 ended at SIGINT and SIGTERM. So they are ignored, and a seccomp filter answers
    "done" to the attempt to change that without doing it. It needs no privilege and cannot be undone: call it only in
    a process that never becomes the training.
    """
    for number in JOB_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    architecture = _ARCHITECTURES.get(os.uname().machine)
    if architecture is None:
        return False
    program = _ignore_sigaction(*architecture)
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


def _ignore_sigaction(audit_number: int, rt_sigaction: int) -> bytes:
    """Classic BPF: rt_sigaction for one of `JOB_SIGNALS` returns 0 and does nothing; all else is allowed."""
    load, equal, give = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
    allow, answer_success = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with errno 0
    count = len(JOB_SIGNALS)
    # Offsets into struct seccomp_data: 4 the architecture, 0 the call's number, 16 its first argument. The two
    # middle numbers of an instruction say how many instructions to skip when equal and when not.
    instructions = [
        (load, 0, 0, 4),
        (equal, 0, count + 3, audit_number),
        (load, 0, 0, 0),
        (equal, 0, count + 1, rt_sigaction),
        (load, 0, 0, 16),
        *((equal, count - position, 0, int(number)) for position, number in enumerate(JOB_SIGNALS)),
        (give, 0, 0, allow),
        (give, 0, 0, answer_success),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)

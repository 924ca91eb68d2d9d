"""The system calls of a forked process, one by one: it stands still before and after each (Linux's ptrace).

What a process that is killed leaves of a file is what its calls up to then have written, so a copy of the file made
between two calls is the file of a process that was killed there. A write of several pages may be killed in between:
`TracedCall.content` is what it would write.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

TRACEME, NEXT_CALL, SET_OPTIONS, CALL_INFO = 0, 24, 0x4200, 0x420E
TELL_CALLS, KILL_AT_EXIT = 0x1, 0x100000
ENTRY, EXIT = 1, 2
INFO = struct.Struct("<B3xIQQQ6Q")
"""`struct ptrace_syscall_info` at the entry of a call (linux/ptrace.h)."""
NAMES = {
    "x86_64": {1: "write", 18: "pwrite64", 77: "ftruncate", 82: "rename", 86: "link", 87: "unlink"},
    "aarch64": {64: "write", 68: "pwrite64", 46: "ftruncate", 38: "renameat", 37: "linkat", 35: "unlinkat"},
}
"""Those that change a file or a folder, by machine."""


class CannotTraceError(Exception):
    """This machine does not let a process be traced."""


@dataclass(frozen=True, slots=True)
class TracedCall:
    """A call of the process, which stands still."""

    name: str
    fd: int
    offset: int
    """Of a `pwrite64`."""
    content: bytes
    """Of a `write` or `pwrite64`."""
    is_done: bool
    """False before the call, True after it."""


def traced_calls(action: Callable[[], object]) -> Generator[TracedCall]:
    """Every call of `NAMES` in a fork of this process that runs `action`, before it and after it.

    Raises `CannotTraceError`, and `RuntimeError` if the process does not end with 0.
    """
    names = NAMES.get(platform.machine())
    if names is None:
        raise CannotTraceError(platform.machine())
    ptrace: Any = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long
    with warnings.catch_warnings():  # threads of numpy's libraries hold nothing that is needed (Python 3.12 on)
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if ptrace(TRACEME, 0, None, None) != 0:
                os._exit(77)
            os.kill(os.getpid(), signal.SIGSTOP)
            action()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status) or ptrace(SET_OPTIONS, pid, None, TELL_CALLS | KILL_AT_EXIT) != 0:
        raise CannotTraceError(f"status {status:#x}")
    info = ctypes.create_string_buffer(INFO.size + 16)
    call: TracedCall | None = None
    try:
        while True:
            if ptrace(NEXT_CALL, pid, None, None) != 0:
                raise CannotTraceError(os.strerror(ctypes.get_errno()))
            _, status = os.waitpid(pid, 0)
            if not os.WIFSTOPPED(status):
                break
            if ptrace(CALL_INFO, pid, len(info), ctypes.addressof(info)) <= 0:
                raise CannotTraceError(os.strerror(ctypes.get_errno()))
            op, _, _, _, number, *arguments = INFO.unpack_from(info)
            if op == ENTRY:
                call = _call(pid, names.get(number, ""), arguments)
                if call is not None:
                    yield call
            elif op == EXIT and call is not None:
                yield TracedCall(call.name, call.fd, call.offset, call.content, is_done=True)
                call = None
    finally:
        if os.WIFSTOPPED(status):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"the traced process ended with status {status:#x}")


def _call(pid: int, name: str, arguments: list[int]) -> TracedCall | None:
    if not name:
        return None
    fd, address, n_bytes, offset = arguments[:4]
    content = b""
    if name in ("write", "pwrite64"):
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            content = memory.read(n_bytes)
    return TracedCall(name, fd, offset, content, is_done=False)

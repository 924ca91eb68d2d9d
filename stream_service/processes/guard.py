"""A watched subprocess for commands that read files: it does the work, and its parent survives whatever the files do.

HDF5, TIFF readers and codecs are C libraries: on a damaged file, or one made to deceive, they may crash, take all
memory or never come back. So the command forks before it loads any of them. The child does everything, on the same
terminal; the parent waits, hands signals on, and turns a death into one sentence. No pixel crosses between the two.

Memory: the child may take three quarters of the machine's (`MEMORY`); beyond it, allocations fail, and are told. Time
is processor time of the thread that reads, within one step of reading: a file server that stalls, and a file that is
still being written, cost none.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stream_service.errors import ConfigError
from stream_service.processes.reading import Busy, Notes, take_notes

GiB = 1 << 30
MEMORY = "PTYCHOSTREAM_MEMORY_GiB"
"""Environment variable with the most memory that a command may take."""
SHARE_OF_MEMORY = 0.75
"""Of the machine's, or of the container's: then no file makes it swap, and none ends other programs."""
CALL = "PTYCHOSTREAM_READ_CPU_S"
"""Environment variable with the most processor time of one step of reading."""
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
LONGEST_CALL_S = 60.0
"""Processor time of one step of reading. The largest block of frames (64 MiB, compressed) takes less than 1 s."""
AFTER_INTERRUPTION_S = 5.0
"""The same once the command is to stop: a library that does not come back cannot stop."""
LOOK_S = 1.0
"""Between two looks at what the child does."""
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal that a process gets when the thread that started it is no more."""
CAN_WATCH = hasattr(signal, "sigtimedwait")
"""Not on macOS, where a command does its work in its own process."""
HANDED_ON = {signal.SIGINT, signal.SIGTERM}
INTERRUPTED = 130
OUT_OF_MEMORY = "that takes more than {:.3g} GiB of memory, the limit here; {} in the environment raises it"

_limit_before: tuple[int, int] | None = None
"""Of the memory of this process, as it was before it was limited."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a child process."""

    memory_bytes: int
    call_s: float = LONGEST_CALL_S


@dataclass(frozen=True, slots=True)
class Ended:
    """End of a child process."""

    exit_code: int
    reason: str = ""
    """A sentence, if it did not end by itself."""


def machine_limits() -> Limits:
    """Those of a command on this machine. Raises `ConfigError` for a limit in the environment that is not a number."""
    held = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        held = min(held, int(CGROUP_LIMIT.read_text()))
    memory_GiB = _from_environment(MEMORY, SHARE_OF_MEMORY * held / GiB)
    return Limits(int(memory_GiB * GiB), _from_environment(CALL, LONGEST_CALL_S))


def _from_environment(name: str, otherwise: float) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else otherwise
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{name} in the environment is {text!r}: give a number above 0, such as 16")
    return value


def out_of_memory() -> str:
    """Cause of a `MemoryError`, in words that go behind the name of a file."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return "that takes more memory than there is" if limit < 0 else OUT_OF_MEMORY.format(limit / GiB, MEMORY)


def guarded(limits: Limits) -> Ended | None:
    """Go on in a child process: None there; in the parent, once it has ended, how. Only for a process of one thread."""
    notes = Notes()
    sys.stdout.flush()
    sys.stderr.flush()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*HANDED_ON, signal.SIGCHLD})
    parent, child = os.getpid(), os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        take_notes(notes)
        _limit(limits, parent)
        return None
    try:
        return _Watch(child, notes, limits).until_it_ends()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        notes.close()


def end_with_parent(number: signal.Signals, parent: int) -> None:
    """Let this process get a signal when the thread of `parent` that started it is no more; only Linux does that.

    To be called before it begins anything: where the parent has ended already, which nobody tells, it ends here.
    """
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def lift_limits() -> None:
    """For a program that this process starts, which reads no file of others, and for the last words of this one."""
    if _limit_before is not None:
        resource.setrlimit(resource.RLIMIT_DATA, _limit_before)


def _limit(limits: Limits, parent: int) -> None:
    global _limit_before
    soft, hard = _limit_before = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = [limit for limit in (limits.memory_bytes, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(wanted), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    end_with_parent(signal.SIGTERM, parent)


class _Watch:
    """The parent's look at one child."""

    def __init__(self, child: int, notes: Notes, limits: Limits) -> None:
        self._child = child
        self._notes = notes
        self._limit_s = limits.call_s
        self._left: list[Path] = []
        self._since: tuple[int, float] = (-1, 0.0)
        """Count of changes of what is read, and the processor time of the thread when it was that first."""
        self._is_interrupted = False
        self._took_s = 0.0
        """Processor time, by which a child that did not come back was ended."""

    def until_it_ends(self) -> Ended:
        while True:
            came = signal.sigtimedwait({*HANDED_ON, signal.SIGCHLD}, min(LOOK_S, self._limit_s / 4))
            if came is not None and came.si_signo in HANDED_ON:
                self._hand_on(came)
            self._left += self._notes.left()
            found, status = os.waitpid(self._child, os.WNOHANG)
            if found:
                return self._ended(os.waitstatus_to_exitcode(status))
            self._end_what_hangs()

    def _hand_on(self, came: signal.struct_siginfo) -> None:
        """A signal from the terminal (not from a process, whose number it would have) has come to the child, too."""
        if signal.getsignal(came.si_signo) == signal.SIG_IGN:
            return
        self._is_interrupted = True
        if came.si_pid:
            os.kill(self._child, came.si_signo)

    def _end_what_hangs(self) -> None:
        busy = self._notes.busy()
        if not busy.thread:
            self._since = -1, 0.0
            return
        used_s = _used_s(self._child, busy.thread)
        if busy.n_changes != self._since[0]:
            self._since = busy.n_changes, used_s
        limit_s = min(self._limit_s, AFTER_INTERRUPTION_S) if self._is_interrupted else self._limit_s
        if used_s - self._since[1] > limit_s:
            self._took_s = limit_s
            os.kill(self._child, signal.SIGKILL)

    def _ended(self, code: int) -> Ended:
        if code >= 0:
            return Ended(code)
        self._left += self._notes.left()
        for path in self._left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        if self._is_interrupted or -code in HANDED_ON:
            return Ended(INTERRUPTED)
        return Ended(1, _sentence(self._notes.busy(), -code, self._took_s))


def _sentence(busy: Busy, number: int, took_s: float) -> str:
    name = signal_name(number)
    if took_s:
        return (
            f"{busy.what} cannot be read: it is damaged so that the library does not come back (after {took_s:g} s of "
            f"processor time; {CALL} in the environment raises that): copy it again, or have it written again"
        )
    if number == signal.SIGKILL:
        what = f" while it read {busy.what}" if busy.thread else ""
        return f"the command was ended by {name}{what}: most likely the machine ran out of memory"
    if busy.thread:
        return (
            f"{busy.what} cannot be read: it is damaged so that reading it ends the program ({name}): copy it again, "
            "or have it written again"
        )
    last = f"; the last that was read is {busy.what}: if it is damaged, copy it again" if busy.what else ""
    return f"the command was ended by {name}{last}"


def signal_name(number: int) -> str:
    """Its name, such as SIGSEGV; the number of one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _used_s(process: int, thread: int) -> float:
    """Processor time of a thread so far; 0 if there is none."""
    try:
        with open(f"/proc/{process}/task/{thread}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""A Python module run in a process of its own that may take no more than stated of time, memory and disk.

For input files: what a library does with a damaged one, or one made to deceive, is then no worse than a sentence.
Standard output and error go to files without a name, so neither side can wait for the other.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from stream_service.cancellation import Cancellation
from stream_service.errors import PtychostreamError
from stream_service.processes.guard import end_with_parent, signal_name

PARENT = "PTYCHOSTREAM_PARENT"
"""Environment variable with the number of the process that waits for this one."""
ENDED_BY_OTHERS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that no file can cause."""
LONGEST_REASON = 300
"""Characters of the last line on standard error that go into a message."""
KILL_S = 1.0
"""A process that a dead file server holds cannot be ended; it is not waited for."""


class LimitedProcessError(PtychostreamError):
    """The process did not come to its end; the text says why, and goes after the name of the file."""

    def __init__(self, reason: str, output: bytes = b"") -> None:
        super().__init__(reason)
        self.output = output
        """What it had said until then."""


def run_limited(
    module: str,
    arguments: Sequence[str],
    timeout_s: float,
    cancellation: Cancellation | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> bytes:
    """Standard output of `python -m module`. The module calls `limit_this_process` before all else.

    `meanwhile` is called once the process works, and before it is waited for.

    Raises `LimitedProcessError`, and `CancelledError`; the process is ended then, at once.
    """
    cancellation = cancellation or Cancellation()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=error,
            env=limited_environment(),
            start_new_session=True,
        )
        try:
            if meanwhile is not None:
                meanwhile()
            if cancellation.wait_until(lambda: process.poll() is not None, timeout_s):
                error.seek(0)
                reason = reason_of_end(process.returncode, error.read()) if process.returncode else ""
            else:
                reason = f"it takes longer than {timeout_s:g} s"
        finally:
            if process.poll() is None:
                process.kill()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(KILL_S)
        output.seek(0)
        said = output.read()
    if reason:
        raise LimitedProcessError(reason, said)
    return said


def limited_environment() -> dict[str, str]:
    """That of a process that limits itself: it finds this package, and knows who waits for it."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    # threads of the mathematics libraries would reserve more memory than the limit
    environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return environment | {PARENT: str(os.getpid())}


def limit_this_process(memory_bytes: int, output_bytes: int) -> None:
    """Take no more memory than this, write no file longer than this, leave no core, and end with the parent.

    Signals that are for the log of the parent, and that systemd may send to all its processes, do nothing.
    """
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (output_bytes, output_bytes))
    with suppress(OSError, ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    end_with_parent(signal.SIGKILL, int(os.environ.get(PARENT, os.getppid())))


def reason_of_end(code: int, error: bytes) -> str:
    """Why a process ended, by its exit code and what it said on standard error; it goes after the name of the file."""
    if -code in ENDED_BY_OTHERS:
        return f"the program that read it was ended by others, or the machine had no memory left ({signal_name(-code)})"
    if code < 0:
        return f"it is damaged so that reading it ends the program ({signal_name(-code)})"
    lines = error.decode(errors="replace").strip().splitlines()
    return lines[-1][:LONGEST_REASON] if lines else f"exit code {code}"

"""Subprocesses of this one: started with a log, awaited with a limit, and never left behind.

On Linux they are asked to end (SIGTERM) even when this process is killed.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Self

from stream_service.errors import PtychostreamError
from stream_service.output_file import open_new
from stream_service.processes.guard import end_with_parent, lift_limits

END_TIMEOUT_S = 15.0
LOG_TAIL_LINES = 12
LINE_END = re.compile(rb"[\r\n]")
"""A line that is written over again and again, as on a terminal, is many lines."""


class SubprocessError(PtychostreamError):
    """A subprocess did not do what it was started for; the text has the end of its log."""


class Subprocess:
    """One Python process, its standard output a pipe of lines, its standard error a log file.

    It runs in a session of its own, so that Ctrl-C in the terminal reaches this process only, which then ends its
    children in order. To be started from a thread that lives as long as it shall.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        python: str = sys.executable,
    ) -> None:
        """`arguments` are Python's: `-m`, a module and its options, or a script."""
        self.name = name
        self.log = log
        self._pending = b""
        with open_new(log) as stderr:
            self.process = subprocess.Popen(
                [python, *arguments],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=partial(_ends_with, os.getpid()),
            )

    def lines(self, timeout_s: float) -> list[str]:
        """The lines printed since the last call; waits up to `timeout_s` for one, not at all once it has ended."""
        stdout: IO[bytes] = self.process.stdout  # type: ignore[assignment]  (a pipe, see above)
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if selector.select(timeout_s):
                self._pending += os.read(stdout.fileno(), 1 << 16)
        *whole, self._pending = LINE_END.split(self._pending)
        return [line.decode(errors="replace") for line in whole]

    def wait_for(self, words: str, timeout_s: float) -> str:
        """Wait for a line that contains `words`; `SubprocessError` if the process ends or the time passes first."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in self.lines(0.1):
                if words in line:
                    return line
            if self.process.poll() is not None:
                raise SubprocessError(f"{self.name} ended with exit code {self.process.returncode}:\n{self.log_tail()}")
        raise SubprocessError(f"{self.name} did not say '{words}' within {timeout_s:g} s:\n{self.log_tail()}")

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = END_TIMEOUT_S) -> int:
        """Ask it to end, then make it end; its exit code."""
        try:
            if self.process.poll() is None:
                self.process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout_s)
        finally:  # a second Ctrl-C does not leave it alone either
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
        return self.process.returncode

    def log_tail(self) -> str:
        """The end of its log, for an error message."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _ends_with(parent: int) -> None:
    lift_limits()
    end_with_parent(signal.SIGTERM, parent)

"""Standard error of a daemon: what nobody reads is left out, and whoever writes never waits for a reader.

A terminal stopped by Ctrl-S, a pager, a log collector that hangs: each lets a plain write wait for ever, and with it
the main loop, or the thread that writes the file.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import threading
import time

from stream_service.text.counted import counted

PATIENCE_S = 0.05
"""For a reader that is busy, once until it reads again."""
AT_ONCE = 4096
"""Bytes that a pipe which can be written to takes without waiting (`PIPE_BUF`)."""


class UnreadOutput(io.TextIOBase):
    """Text for a descriptor of a pipe, a socket or a terminal. May be written to by any thread."""

    encoding: str = "utf-8"

    def __init__(self, descriptor: int, encoding: str = "utf-8") -> None:
        self.encoding = encoding
        self._descriptor = descriptor
        self._lock = threading.RLock()  # a signal handler may write, too
        self._n_left_out = 0
        self._is_cut = False
        """What was written last is not whole."""

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """True for a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """True: it takes text."""
        return True

    def write(self, text: str) -> int:
        """Write, or leave it out and count it; the next that is written is preceded by how many were."""
        n_characters = len(text)
        with self._lock:
            if self._n_left_out:
                if not self._takes(0.0):
                    self._n_left_out += 1
                    return n_characters
                note = f"{counted(self._n_left_out, 'line')} of the log left out: nobody read them\n"
                text = "\n" * self._is_cut + note + text
                self._n_left_out = 0
            self._is_cut = not self._put(text.encode(self.encoding, "backslashreplace"))
            self._n_left_out += self._is_cut
        return n_characters

    def _put(self, left: bytes) -> bool:
        """True if all of it was taken."""
        until_s = time.monotonic() + PATIENCE_S
        while left:
            if not self._takes(max(0.0, until_s - time.monotonic())):
                return False
            try:
                left = left[os.write(self._descriptor, left[:AT_ONCE]) :]
            except OSError:  # the reader has gone
                return False
        return True

    def _takes(self, seconds: float) -> bool:
        """True if something can be written without waiting, within this time."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(1000 * seconds))


def leave_out_what_nobody_reads() -> None:
    """Let standard error be such an output, unless it is a file, or not there at all."""
    try:
        descriptor = sys.stderr.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):
        return
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor):
        sys.stderr.flush()
        sys.stderr = UnreadOutput(descriptor, sys.stderr.encoding)

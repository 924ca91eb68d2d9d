"""Notice of the compilation of a program's kernels: that it takes a while, and what it can do without.

A program that is used for the first time on a machine waits for machine code. Kernels are compiled when they are first
called, in whatever command or thread that is, and come from the disk from then on. `kernels/machine_code.py` says when
it compiles; a program says how that is told to people. What is short is not told, and nothing twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

LONG_S = 2.0
"""Compilation that takes longer, all in all, is told."""
NOTICE = "compiling for this machine, once: about a quarter of a minute"


class CompilationNotice:
    """Tells `NOTICE` while something is being compiled, when that has taken so long. Its calls come one at a time."""

    def __init__(self, tell: Callable[[str], None], after_s: float) -> None:
        self._tell = tell
        self._left_s = after_s
        self._depth = 0
        self._began_s = 0.0
        self._timer: threading.Timer | None = None
        self._is_told = False

    def begin(self) -> None:
        """A function is being compiled; another one that it calls may be meanwhile."""
        self._depth += 1
        if self._depth > 1 or self._is_told:
            return
        self._began_s = monotonic()
        self._timer = threading.Timer(max(self._left_s, 0.0), self._say)
        self._timer.daemon = True
        with suppress(RuntimeError):  # no thread can be started: then nobody is told
            self._timer.start()

    def end(self) -> None:
        """It is compiled, or failed to."""
        self._depth -= 1
        if self._depth == 0 and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._left_s -= monotonic() - self._began_s

    def _say(self) -> None:
        self._is_told = True
        self._tell(NOTICE)


_notice: CompilationNotice | None = None


def tell_of_compilation(tell: Callable[[str], None]) -> None:
    """Have long compilation in this process told so from now on: one thread after the other, never two at once."""
    global _notice
    _notice = CompilationNotice(tell, LONG_S)


def compilation_begins() -> None:
    """Said by who compiles."""
    if _notice is not None:
        _notice.begin()


def compilation_ends() -> None:
    """Said by who compiles."""
    if _notice is not None:
        _notice.end()


_takes_extensions = True


def leave_out_extensions() -> None:
    """Have numba load nothing in this process of what other packages register with it, before anything is compiled.

    No kernel of ours uses it, and where tiled is installed, it is half a second of every start (awkward, sparse).
    """
    global _takes_extensions
    _takes_extensions = False


def takes_extensions() -> bool:
    """Asked by who compiles."""
    return _takes_extensions

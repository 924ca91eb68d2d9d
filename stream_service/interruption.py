"""SIGINT and SIGTERM stop a command: `KeyboardInterrupt` where the main thread stands, and again at its next step.

Python throws away what is raised in a finalizer, and h5py makes something else of what is raised within its calls; a
signal may well arrive there. So a command that works for long asks `raise_if_interrupted` at every step, and one that
writes a file lets signals interrupt it `at_steps_only`.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_came = False
_waits_for_step = False


def catch_signals() -> None:
    """From now on SIGINT and SIGTERM interrupt; a SIGINT that is ignored, as in a background job, stays ignored."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = _report_thrown_away


def raise_if_interrupted() -> None:
    """Raise `KeyboardInterrupt` if a signal came, whatever became of the first one."""
    if _came:
        raise KeyboardInterrupt


@contextmanager
def at_steps_only() -> Iterator[None]:
    """Within, a signal waits for the next `raise_if_interrupted`, or for the end; a second one does not wait."""
    global _waits_for_step
    _waits_for_step = True
    try:
        yield
    finally:
        _waits_for_step = False
    raise_if_interrupted()


def _interrupt(*_: object) -> None:
    global _came
    is_first, _came = not _came, True
    if not (is_first and _waits_for_step):
        raise KeyboardInterrupt


def _report_thrown_away(thrown_away: sys.UnraisableHookArgs) -> None:
    if not issubclass(thrown_away.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(thrown_away)

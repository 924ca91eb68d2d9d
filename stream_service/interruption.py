"""SIGINT and SIGTERM stop a command: `KeyboardInterrupt` where the main thread stands, and again at its next step.

Python throws away what is raised in a finalizer or in a callback of a weak reference, and a signal may well arrive
there: a command that works for long asks `raise_if_interrupted` at every step, so that it never overhears one.
"""

from __future__ import annotations

import signal
import sys

_came = False


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


def _interrupt(*_: object) -> None:
    global _came
    _came = True
    raise KeyboardInterrupt


def _report_thrown_away(thrown_away: sys.UnraisableHookArgs) -> None:
    if not issubclass(thrown_away.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(thrown_away)

"""The one place that imports pyepics: p4p and pyepics must share one set of EPICS libraries."""

from __future__ import annotations

import ctypes
import logging
import sys
from typing import Any

# isort: off
if "epics.ca" not in sys.modules:  # a session of Bluesky that has imported pyepics, or ophyd, before keeps its own
    import epicscorelibs.path.pyepics  # noqa: F401  (before `epics`: makes pyepics load the libraries that p4p uses)
import epics
from epics import ca
# isort: on

INVALID_ALARM = 3
CONNECTION_TIMEOUT_S = 5.0
CA_FAILURES = (ca.ChannelAccessException, ca.ChannelAccessGetFailure, ca.CASeverityException)
"""What pyepics raises when a PV goes away while it is asked."""


def attach_thread() -> None:
    """Let the calling thread use the CA context of the process; needed once in every thread that reads PVs."""
    ca.use_initial_context()


log = logging.getLogger(__name__)


class PV(epics.PV):
    """A PV whose subscription is sent as soon as it is made.

    pyepics subscribes in a callback of CA, where libca sends nothing by itself: the subscription would lie in the
    sending buffer until the next request, which may never come (seen in 1 of 20 to 1 of 200 processes).
    """

    def _check_auto_monitor(self) -> None:
        super()._check_auto_monitor()
        ca.flush_io()


class _Exception(ctypes.Structure):
    """`struct exception_handler_args` of libca's cadef.h."""

    _fields_ = (
        ("usr", ctypes.c_void_p),
        ("chid", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("addr", ctypes.c_void_p),
        ("stat", ctypes.c_long),
        ("op", ctypes.c_long),
        ("ctx", ctypes.c_char_p),
        ("file", ctypes.c_char_p),
        ("line", ctypes.c_uint),
    )


@ctypes.CFUNCTYPE(None, _Exception)
def _log_exception(told: _Exception) -> None:
    context = (told.ctx or b"").decode(errors="backslashreplace")
    log.warning("Channel Access: %s", " ".join(f"{ca.message(told.stat)} ({context})".split()))


def log_ca_exceptions() -> None:
    """Let libca's exceptions (a lost IOC, a name that two servers have) be lines of the log, not banners on stderr."""
    ca.use_initial_context()
    library: Any = ca.libca
    library.ca_add_exception_event(_log_exception, None)


__all__ = [
    "CA_FAILURES",
    "CONNECTION_TIMEOUT_S",
    "INVALID_ALARM",
    "PV",
    "attach_thread",
    "ca",
    "epics",
    "log_ca_exceptions",
]

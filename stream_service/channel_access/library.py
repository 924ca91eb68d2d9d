"""The one place that imports pyepics: p4p and pyepics must share one set of EPICS libraries."""

from __future__ import annotations

import atexit
import ctypes
import logging
import sys
import threading
from functools import cache
from typing import Any

# isort: off
if "epics.ca" not in sys.modules:  # a session of Bluesky that has imported pyepics, or ophyd, before keeps its own
    import epicscorelibs.path.pyepics  # noqa: F401  (before `epics`: makes pyepics load the libraries that p4p uses)
import epics
from epics import ca
# isort: on

INVALID_ALARM = 3
NO_CIRCUIT = b"virtual circuit creation"
"""In what libca says of a connection that cannot be opened (EPICS 7.0)."""
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

    def __init__(self, *words: Any, **options: Any) -> None:
        _listen_to_errlog()
        super().__init__(*words, **options)

    def _check_auto_monitor(self) -> None:
        """Subscribe; a channel that has gone again by now has not connected yet: CA calls again when it does.

        pyepics takes a channel that it knows of for connected until its callback has heard otherwise, and raises then.
        """
        try:
            if isinstance(self._args["ftype"], str):  # "unknown" is what pyepics asks of a channel without a server
                raise ca.ChannelAccessException
            super()._check_auto_monitor()
        except ca.ChannelAccessException:
            self.connected = False
        ca.flush_io()


_lacks_circuit = threading.Event()


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
def _hear_of_circuit(_: int | None, message: bytes | None) -> None:
    if message and NO_CIRCUIT in message:
        _lacks_circuit.set()


@cache
def _listen_to_errlog() -> None:
    """Let libCom's log of errors tell of connections that libca cannot open; nothing else tells of them."""
    ca.use_initial_context()
    library: Any = ca.libca
    library.errlogAddListener(_hear_of_circuit, None)
    atexit.unregister(ca.finalize_libca)
    atexit.register(_finalize)


def _finalize() -> None:
    """End of the process: as pyepics does it, who clears all channels, or as far as that may be done."""
    library: Any = ca.libca
    lacks_circuit = may_lack_circuits()
    library.errlogRemoveListeners(_hear_of_circuit, None)  # its thread must call nobody when Python is gone
    if not lacks_circuit:
        ca.finalize_libca()
        return
    for channel in list(ca._chid_cache):
        if ca.isConnected(channel):  # nor must libca
            ca.clear_channel(channel)
    ca.flush_io()
    ca.libca = ca._LIBCA_FINALIZED  # what is left of channels asks for nothing any more


def may_lack_circuits() -> bool:
    """True once libca could not open a connection, as where file descriptors have run short, however briefly.

    libca never searches again for a channel that it was for, and ends the process when that is cleared ("channel was
    expected to be in a search timer, but wasn't"). Which channel it was, nothing tells.
    """
    library: Any = ca.libca
    library.errlogFlush()  # it is told by a thread of libCom
    return _lacks_circuit.is_set()


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
    "may_lack_circuits",
]

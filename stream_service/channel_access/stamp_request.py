"""The time stamp and value of a PV, asked for by a CA get and answered in a callback of CA's own thread.

pyepics keeps one answer per channel and type for whoever comes first, and makes the caller wait for it. Here every
answer goes to who asked, and a PV that says nothing holds up nobody.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable
from typing import Any

from stream_service.channel_access.library import PV, ca
from stream_service.core.frame import EPICS_EPOCH_S, NS_PER_S

ECA_NORMAL = 1
TIME_DOUBLE, TIME_STRING = 20, 14
"""`DBR_TIME_DOUBLE`, as which a server gives whatever is a number, and `DBR_TIME_STRING`."""


class _Answer(ctypes.Structure):
    """`struct event_handler_args` of libca's cadef.h."""

    _fields_ = (
        ("usr", ctypes.c_void_p),
        ("chid", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("dbr", ctypes.c_void_p),
        ("status", ctypes.c_int),
    )


class _Stamped(ctypes.Structure):
    """The beginning of every `struct dbr_time_*` of libca's db_access.h."""

    _fields_ = (
        ("status", ctypes.c_int16),
        ("severity", ctypes.c_int16),
        ("seconds", ctypes.c_uint32),
        ("nanoseconds", ctypes.c_uint32),
    )


class _StampedDouble(ctypes.Structure):
    """`struct dbr_time_double`."""

    _fields_ = (("stamp", _Stamped), ("padding", ctypes.c_int32), ("value", ctypes.c_double))


class StampRequest:
    """The question of one PV for its time stamp, which may be sent again once it has been answered."""

    def __init__(self, pv: PV, on_answer: Callable[[int | None, float], None]) -> None:
        """`on_answer` is given nanoseconds of the Unix epoch, None when the PV went away first, and the value, NaN if
        it is no number; it must not raise."""
        self._pv = pv
        self._on_answer = on_answer
        self._number = next(_numbers)
        _requests[self._number] = self

    def send(self) -> bool:
        """Put the question into CA's sending buffer (`ca.flush_io` empties it); False if the PV is gone."""
        chid = self._pv.chid
        if chid is None or not self._pv.connected:
            return False
        libca: Any = ca.libca
        is_text = self._pv.ftype == TIME_STRING
        status = libca.ca_array_get_callback(
            ctypes.c_long(TIME_STRING if is_text else TIME_DOUBLE),
            ctypes.c_ulong(1),
            chid,
            _take_answer,
            ctypes.c_void_p(self._number),
        )
        return bool(status == ECA_NORMAL)

    def close(self) -> None:
        """Forget the question; an answer that is on its way is dropped."""
        _requests.pop(self._number, None)


_numbers = itertools.count(1)
_requests: dict[int, StampRequest] = {}
"""By the number that libca hands back."""


@ctypes.CFUNCTYPE(None, _Answer)
def _take_answer(answer: _Answer) -> None:
    request = _requests.get(answer.usr or 0)
    if request is None:
        return
    if answer.status != ECA_NORMAL or not answer.dbr:
        request._on_answer(None, math.nan)
        return
    stamp = ctypes.cast(answer.dbr, ctypes.POINTER(_Stamped)).contents
    value = math.nan
    if answer.type == TIME_DOUBLE:
        value = ctypes.cast(answer.dbr, ctypes.POINTER(_StampedDouble)).contents.value
    request._on_answer((EPICS_EPOCH_S + stamp.seconds) * NS_PER_S + stamp.nanoseconds, value)

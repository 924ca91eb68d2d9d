"""File permissions that hold for root, too: tests run as root in containers, to whom every folder is open."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION_3 = 0x20080522
"""Of `capset` (linux/capability.h)."""
OVERRIDES_PERMISSIONS = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def permissions_hold() -> Iterator[None]:
    """Within, this thread and those that it starts may do no more than its user is allowed to."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(VERSION_3, 0), (_Sets * 2)()
    if libc.capget(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "capget")
    before = sets[0].effective
    sets[0].effective = before & ~OVERRIDES_PERMISSIONS
    _set(libc, header, sets)
    try:
        yield
    finally:
        sets[0].effective = before
        _set(libc, header, sets)


def _set(libc: ctypes.CDLL, header: _Header, sets: ctypes.Array[_Sets]) -> None:
    if libc.capset(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "capset")

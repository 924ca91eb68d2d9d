"""Putting back what staging has changed: each setting by itself, and never at the cost of a finished scan.

A record may refuse what it had before (NDFileHDF5 takes no NumFramesFlush below NumFramesChunks, 0 on a fresh IOC), and
an IOC may be gone. ophyd's own unstaging stops at the first such setting, and the device stays staged for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from epics.ca import CASeverityException, ChannelAccessException
from ophyd import Device
from ophyd.device import Staged
from ophyd.utils.errors import OpException

TOTAL_S = 10.0
"""For all settings of a device together; an IOC that lives takes each in milliseconds."""
LEAST_S = 0.5
"""For one setting, also when others have used up the time."""
REFUSALS = (OpException, OSError, ValueError, ChannelAccessException, CASeverityException)
"""What a setting may fail with: refused or read-only, out of limits, timed out, disconnected."""

logger = logging.getLogger(__name__)

Settings = list[tuple[Any, Any]]


def take_settings(device: Device) -> Settings:
    """Settings of a device and its parts before they were staged, the latest first; they forget them."""
    settings: Settings = []
    for attr in reversed(device._sub_devices):
        settings += take_settings(getattr(device, attr))
    settings += reversed(device._original_vals.items())
    device._original_vals.clear()
    return settings


def restore(settings: Iterable[tuple[Any, Any]]) -> None:
    """Set what can be set; what cannot is logged with its value."""
    deadline_s = time.monotonic() + TOTAL_S
    for signal, value in settings:
        left_s = max(LEAST_S, deadline_s - time.monotonic())
        try:
            if not signal.connected:
                raise TimeoutError("its IOC does not answer")
            signal.set(value, timeout=left_s).wait(left_s)
        except REFUSALS as error:
            name = getattr(signal, "setpoint_pvname", signal.name)
            why = str(error) or type(error).__name__
            logger.warning("%s does not take back %r, its value of before the scan: %s", name, value, why)


def forget_staging(device: Device) -> None:
    """Let a device, and its parts, be staged again, whatever has happened."""
    for attr in device._sub_devices:
        forget_staging(getattr(device, attr))
    device._staged = Staged.no

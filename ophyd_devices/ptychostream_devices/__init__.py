"""Bluesky devices of ptychostream: detector, sample stage, monochromator, and the streaming service itself.

Importing them makes pyepics use the EPICS libraries that p4p brings, so that both can live in one process; a session
that has imported pyepics (or ophyd) before keeps its own.
"""

# isort: off
import stream_service.channel_access.library  # noqa: F401  (before ophyd: it chooses the EPICS libraries)
# isort: on

from ptychostream_devices.detector import DetectorError, DetectorSetup, PtychoDetector
from ptychostream_devices.energy import Monochromator
from ptychostream_devices.raw_file_layout import LayoutError, RawFileLayout
from ptychostream_devices.run_verdicts import RunVerdicts
from ptychostream_devices.shutter import Shutter
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice, StreamServiceError

__all__ = [
    "DetectorError",
    "DetectorSetup",
    "LayoutError",
    "Monochromator",
    "PtychoDetector",
    "RawFileLayout",
    "RunVerdicts",
    "ScanStage",
    "Shutter",
    "StreamServiceDevice",
    "StreamServiceError",
]

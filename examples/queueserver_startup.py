"""Startup script of a bluesky-queueserver worker: the devices of a beamline, and the plans that can be queued.

    start-re-manager --startup-script examples/queueserver_startup.py

Change the prefixes and folders; PTYCHO_IOC, PTYCHO_SERVICE and PTYCHO_RAW say them without a change. The defaults are
the simulated beamline's.
"""

import os

from bluesky import RunEngine
from ophyd.signal import EpicsSignalBase

from ptychostream_devices import Monochromator, PtychoDetector, ScanStage, Shutter, StreamServiceDevice
from ptychostream_plans import (
    dark_flat,
    ptycho_concentric,
    ptycho_energy_stack,
    ptycho_fermat,
    ptycho_fly,
    ptycho_jittered,
    ptycho_positions,
    ptycho_raster,
)

# an IOC that never takes a setting then fails the plan instead of holding it for ever
EpicsSignalBase.set_defaults(connection_timeout=10, timeout=10, write_timeout=20)

ioc = os.environ.get("PTYCHO_IOC", "SIM:")
detector = PtychoDetector(ioc, name="detector", write_path_template=os.environ.get("PTYCHO_RAW", "/data"))
stage = ScanStage(ioc, name="stage")
energy = Monochromator(f"{ioc}Energy", name="energy")
shutter = Shutter(f"{ioc}Shutter", name="shutter")
stream = StreamServiceDevice(os.environ.get("PTYCHO_SERVICE", "PTYCHO:"), name="stream")

RE = RunEngine({})

__all__ = [
    "RE",
    "dark_flat",
    "detector",
    "energy",
    "ptycho_concentric",
    "ptycho_energy_stack",
    "ptycho_fermat",
    "ptycho_fly",
    "ptycho_jittered",
    "ptycho_positions",
    "ptycho_raster",
    "shutter",
    "stage",
    "stream",
]

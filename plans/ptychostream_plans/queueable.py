"""Plans as bluesky's queueing servers want them: annotated by types they know, described parameter by parameter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from bluesky.protocols import Flyable, Movable, Readable

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.energy import Monochromator
from ptychostream_devices.shutter import Shutter
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice

P = ParamSpec("P")
R = TypeVar("R")

PROTOCOLS = {
    PtychoDetector: Readable,
    ScanStage: Readable,
    StreamServiceDevice: Flyable,
    Monochromator: Movable,
    Shutter: Movable,
    PtychoDetector | None: Readable | None,
    StreamServiceDevice | None: Flyable | None,
}
"""What a server can check by the devices it has: it knows bluesky's protocols, and no class of ours."""

COMMON = "<the parameters of every scan>"
PARAMETERS = {
    "detector": "PtychoDetector\n        Takes `frames_per_position` frames at each position.",
    "stage": "ScanStage\n        Moves the sample (or the beam); it knows how the beam follows.",
    "service": (
        "StreamServiceDevice, optional\n        The streaming service that writes the standardized file; without it "
        "only the raw file is written."
    ),
    "exposure_s": "float\n        Exposure time of one frame.",
    "frames_per_position": "int\n        Frames at each position; the service reduces them to one row.",
    "energy": "Readable, optional\n        Monochromator, read before and after the scan.",
    "center_m": "(x, y)\n        Centre of the scan: beam on the sample, in metres.",
    "scan_id": (
        "str, optional\n        Names the files: `<scan_id>_std.h5` and `<scan_id>_raw.h5`. The time, if not given."
    ),
    "path": "str\n        Folder of both files, below the roots of the service and of the detector.",
    "probe_diameter_m": (
        "float, optional\n        Diameter of the probe on the sample; positions that do not overlap are then refused."
    ),
    "references": (
        "dict, optional\n        Files of `dark`, `flat` or `mask`, by these names, instead of the service's own; "
        "refused if they were taken with another exposure time, gain or readout region."
    ),
    "md": "dict, optional\n        More metadata for the run.",
}
RETURNS = """
    Returns
    -------
    uid : str
        Of the bluesky run.
    """


def queueable(plan: Callable[P, R]) -> Callable[P, R]:
    """Give a plan a signature of types (not their names), and describe the parameters that all scans have.

    The docstring of the plan has one line `<the parameters of every scan>` among its own, or describes all of them.
    """
    signature = inspect.signature(plan, eval_str=True)
    parameters = [
        parameter.replace(annotation=PROTOCOLS.get(parameter.annotation, parameter.annotation))
        for parameter in signature.parameters.values()
    ]
    doc = plan.__doc__ or ""
    if COMMON in doc:
        common = [f"{name} : {PARAMETERS[name]}" for name in signature.parameters if name in PARAMETERS]
        plan.__doc__ = doc = doc.replace(COMMON, "\n    ".join(common)).rstrip() + "\n" + RETURNS
    missing = [name for name in signature.parameters if f"{name} : " not in doc]
    assert not missing, f"{plan.__name__} does not describe {', '.join(missing)}"
    plan.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return plan

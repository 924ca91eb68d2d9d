"""The options that scans have in common: said once, for the plans, for type checkers and for queueing servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Required, TypedDict

from bluesky.protocols import Readable
from bluesky.utils import CustomPlanMetadata


class CommonOptions(TypedDict, total=False):
    """Of every scan."""

    exposure_s: Required[float]
    scan_id: str | None
    path: str
    probe_diameter_m: float | None
    references: Mapping[str, str] | None
    md: CustomPlanMetadata | None


class RunOptions(CommonOptions, total=False):
    """Of a scan that is one bluesky run."""

    energy: Readable | None


class ScanOptions(RunOptions, total=False):
    """Of a step scan."""

    frames_per_position: int
    repeats: int


DEFAULTS: Mapping[str, Any] = {
    "frames_per_position": 1,
    "repeats": 0,
    "energy": None,
    "scan_id": None,
    "path": "",
    "probe_diameter_m": None,
    "references": None,
    "md": None,
}

DESCRIPTIONS: Mapping[str, tuple[str, str]] = {
    "detector": ("PtychoDetector", "Takes the frames."),
    "stage": ("ScanStage", "Moves the sample (or the beam); it knows how the beam follows."),
    "service": (
        "StreamServiceDevice, optional",
        "The streaming service that writes the standardized file; without it only the raw file is written.",
    ),
    "center_m": ("(x, y)", "Centre of the scan: beam on the sample, in metres."),
    "exposure_s": ("float", "Exposure time of one frame."),
    "frames_per_position": ("int", "Frames at each position; the service reduces them to one row."),
    "repeats": (
        "int",
        "Positions that may be exposed again after the planned ones, because their frames were lost or rejected for "
        "their quality.",
    ),
    "energy": ("Readable, optional", "Monochromator, read before and after the scan."),
    "scan_id": (
        "str, optional",
        "Names the files: `<scan_id>_std.h5` and `<scan_id>_raw.h5`. The time, if not given.",
    ),
    "path": ("str", "Folder of the files, below the roots of the service and of the detector."),
    "probe_diameter_m": (
        "float, optional",
        "Diameter of the probe on the sample; positions that do not overlap are then refused.",
    ),
    "references": (
        "dict, optional",
        "Files of `dark`, `flat` or `mask`, by these names, instead of the service's own; refused if they were taken "
        "with another exposure time, gain or readout region.",
    ),
    "md": ("dict, optional", "More metadata for the run."),
}
"""Type and meaning of each, as in the docstrings of plans."""

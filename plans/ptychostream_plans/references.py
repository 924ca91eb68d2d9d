"""Reference files: dark and flat with the conditions under which they were taken, and whether those are a scan's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptychostream_devices.detector import PtychoDetector
from stream_service.layout_xml import HANDLER_PATH
from stream_service.output_file import whole_file

SAME = 1e-3
"""Relative: exposure times and gains that differ by less are the same."""


@dataclass(frozen=True, slots=True)
class ReferenceConditions:
    """Conditions that a reference shares with the frames it corrects."""

    exposure_s: float
    gain: float
    min_x: int
    """The readout region, in pixels of the sensor."""
    min_y: int
    size_x: int
    size_y: int
    bin_x: int
    bin_y: int

    @classmethod
    def of(cls, detector: PtychoDetector, exposure_s: float) -> ReferenceConditions:
        """Those that a detector is set to now, with this exposure time."""
        cam: Any = detector.cam
        region = (cam.min_x, cam.min_y, cam.size.size_x, cam.size.size_y, cam.bin_x, cam.bin_y)
        return cls(exposure_s, float(cam.gain.get()), *(int(signal.get()) for signal in region))

    def differences(self, scan: ReferenceConditions) -> list[str]:
        """Differences of the scan's conditions, in words with both numbers."""
        own, other = asdict(self), asdict(scan)
        return [
            f"{name} {own[name]:g} instead of {other[name]:g}"
            for name in own
            if not math.isclose(own[name], other[name], rel_tol=SAME)
        ]


def median_frame(raw_file: Path, n_frames: int) -> np.ndarray[Any, Any]:
    """(y, x) the median of so many frames that NDFileHDF5 wrote. Raises `OSError` if they are not all in this file."""
    with h5py.File(raw_file) as file:
        frames = file[HANDLER_PATH]
        if not isinstance(frames, h5py.Dataset) or len(frames) != n_frames:
            raise OSError(f"{raw_file} does not hold {n_frames} frames at {HANDLER_PATH}")
        if frames.is_virtual or frames.external or frames.file.filename != file.filename:
            raise OSError(
                f"{raw_file} has the frames at {HANDLER_PATH} in another file: NDFileHDF5 does not write such files"
            )
        return np.median(frames[()], axis=0)


def write_references(
    path: Path, conditions: ReferenceConditions, images: Mapping[str, np.ndarray[Any, Any]], facts: Mapping[str, Any]
) -> None:
    """Write `dark`, `flat` or both, (y, x), with the conditions as attributes; raises `FileExistsError`, `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, replace=False) as unfinished, h5py.File(unfinished, "x") as file:
        file.attrs.update({**asdict(conditions), **facts})
        for kind, image in images.items():
            file[kind] = image.astype(np.float32)


def read_conditions(location: str) -> ReferenceConditions | None:
    """The conditions in a reference file (`FILE` or `FILE:/dataset`); None if it has none, or cannot be read here.

    A relative path is below the data root of the service, which only the service knows; it looks for itself.
    """
    path = Path(location.partition(":/")[0])
    if not path.is_absolute() or not path.is_file():  # a pipe would hold up the plan
        return None
    try:
        with h5py.File(path) as file:
            attributes: Any = file.attrs
            exposure_s, gain, *region = (attributes[field.name] for field in fields(ReferenceConditions))
        return ReferenceConditions(float(exposure_s), float(gain), *(int(value) for value in region))
    except (OSError, KeyError, TypeError, ValueError):
        return None


def check_references(detector: PtychoDetector, exposure_s: float, references: Mapping[str, str]) -> None:
    """Raise `ValueError` for references taken under other conditions than the scan's; the text names both numbers."""
    if unknown := set(references) - {"dark", "flat", "mask"}:
        raise ValueError(f"references has {', '.join(sorted(unknown))}; it can have dark, flat and mask")
    scan = ReferenceConditions.of(detector, exposure_s)
    for kind, location in references.items():
        taken = read_conditions(location)
        differences = taken.differences(scan) if taken is not None else []
        if kind == "mask":  # bad pixels are bad however long one looks
            differences = [text for text in differences if not text.startswith(("exposure_s", "gain"))]
        if differences:
            raise ValueError(
                f"the {kind} {location} was taken with {', '.join(differences)}: take one as the scan is (dark_flat)"
            )

"""Header of a standard file: what is known before the first row fixes the layout, which cannot change afterwards."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

CHANNEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]*")


@dataclass(frozen=True, slots=True)
class ChannelColumn:
    """A readback channel that gets its own h5 group, `/entry/readbacks/<name>`."""

    name: str
    unit: str = ""
    """Unit of the values as they are added, written to `@units`."""

    def __post_init__(self) -> None:
        if not CHANNEL_NAME.fullmatch(self.name):
            raise ValueError(
                f"the channel name {self.name!r} cannot name an h5 group: "
                "use letters, digits, '_', '-', '.', ':' and do not begin with '.', ':' or '-'"
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FileHeader:
    """Everything the file says that does not depend on a row. Arrays are copied into the file at creation.

    Raises `ValueError` when shapes disagree or a number cannot be meant.
    """

    scan_id: str
    frame_shape: tuple[int, int]
    """(ny, nx) of a stored frame, after ROI, binning and orientation."""
    energy_eV: float
    """Photon energy; NaN while unknown, then `StandardFile.set_scalars`."""
    det_dist_m: float
    """From the sample to the detector."""
    pixel_m: float
    """Pitch of a stored pixel (after binning); pixels are square."""
    exposure_s: float
    """Exposure time of a row (summed, if its frames are summed); NaN while unknown."""
    start_timestamp_ns: int
    """Start of the run, nanoseconds since 1970 UTC; 0 if nobody knows."""
    frames_per_row: int = 1
    n_rows_expected: int | None = None
    """Rows that may come, repeats included; None when the length of the scan is not known."""
    mask: npt.NDArray[np.uint8] | None = None
    """(ny, nx) 0 = good, 1 = bad; None = all good."""
    pixel_mask: npt.NDArray[np.uint32] | None = None
    """(ny, nx) CXI flags (`codes.PIXEL_FLAGS`); None = `mask`, as flag 1 (invalid)."""
    dark: npt.NDArray[np.float32] | None = None
    flat: npt.NDArray[np.float32] | None = None
    """(ny, nx) as applied to the frames; stored with `@applied = True`."""
    planned_m: npt.NDArray[np.float64] | None = None
    """(N, 2) where the beam is to be on the sample, x then y, in the order of the scan."""
    channels: tuple[ChannelColumn, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All that is needed to redo the processing; must be JSON."""
    versions: Mapping[str, str] = field(default_factory=dict)
    optics: Mapping[str, float | int | str | tuple[float, ...] | None] = field(default_factory=dict)
    """What a reconstruction needs for its first probe; the name ends in the unit (`_m`, `_eV`). None is left out."""
    sample: str = ""
    saturation_value: float | None = None
    """Raw value from which a pixel counts as saturated; None = not known."""
    center: tuple[float, float] | None = None
    """(row, column) of the optical axis in the stored frame; an integer is the middle of a pixel; None = n // 2."""

    axis_signs: tuple[int, int] = (1, 1)
    """+1 if the rows (columns) of a stored frame grow with +y (+x) of the beam's position, -1 if against it.

    PtyPy takes +1 for granted; -1 is the CXI default, found in CXI files whose frames are kept as they are.
    """

    def __post_init__(self) -> None:
        ny, nx = self.frame_shape
        if ny < 1 or nx < 1:
            raise ValueError(f"frame_shape {self.frame_shape} must be two positive numbers, rows and columns")
        if self.frames_per_row < 1:
            raise ValueError(f"frames_per_row = {self.frames_per_row} must be at least 1")
        if self.n_rows_expected is not None and self.n_rows_expected < 0:
            raise ValueError(f"n_rows_expected = {self.n_rows_expected} must not be negative (None = not known)")
        for name in ("mask", "pixel_mask", "dark", "flat"):
            image = getattr(self, name)
            if image is not None and image.shape != self.frame_shape:
                raise ValueError(f"{name} has shape {image.shape}, the stored frame {self.frame_shape}")
        if self.planned_m is not None and (self.planned_m.ndim != 2 or self.planned_m.shape[1] != 2):
            raise ValueError(f"planned_m has shape {self.planned_m.shape}, it must be (N, 2): x and y")
        for name in ("det_dist_m", "pixel_m"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} = {getattr(self, name)} must be a positive number, in metres")
        if not set(self.axis_signs) <= {1, -1}:
            raise ValueError(f"axis_signs {self.axis_signs} must be +1 or -1 each")
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError(f"channel names must differ: {names}")

    @property
    def center_px(self) -> tuple[float, float]:
        """(row, column) of the optical axis, in pixels."""
        ny, nx = self.frame_shape
        return self.center if self.center is not None else (float(ny // 2), float(nx // 2))

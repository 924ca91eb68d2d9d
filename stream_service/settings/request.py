"""Request with which a plan arms a run: one JSON document, validated at the edge.

This is the one value type that devices and plans share with the daemon. It travels as text in the PV `Request`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MOST_FRAMES = 10_000_000
"""In one run: three hours at 1 kHz."""
MOST_FRAMES_PER_POSITION = 1000

MOST_METADATA_BYTES = 1 << 16
MOST_SAMPLE_CHARACTERS = 1000
"""It is an HDF5 attribute as well, which holds 64 KiB at most."""
MOST_NAME_BYTES = 255
"""Of a file or folder, on every file system that is in use."""
MOST_WHOLE = (1 << 63) - 1
Scalar = str | int | float | bool | None

SCAN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")


class RequestedReferences(BaseModel):
    """References of one scan, as the profile names them (`.npy`, `.npz`, `FILE.h5:/dataset`), by paths of the service.

    A relative path is below the service's data root. What is not given is the profile's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dark: str | None = None
    """No-beam reference, ADU."""
    flat: str | None = None
    """No-sample reference, as measured or normalised (`flat_is`)."""
    mask: str | None = None
    """0 = good, anything else = bad."""

    @field_validator("dark", "flat", "mask")
    @classmethod
    def _is_a_path(cls, value: str | None) -> str | None:
        return None if value is None else storable(value)


class ScanRequest(BaseModel):
    """One scan to be streamed into one file, `<data root>/<path>/<scan_id>_std.h5`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scan_id: str
    """Name of the scan and of its file: letters, digits, `_`, `-`, `.`."""
    path: str = ""
    """Folder below the service's data root, for example `2026-11/proposal-123`; never absolute, never `..`."""
    n_positions: Annotated[int, Field(ge=1)] | None = None
    """Number of scan positions; None when the scan's length is not known (the run then ends at `Stop`)."""
    frames_per_position: Annotated[int, Field(ge=1, le=MOST_FRAMES_PER_POSITION)] = 1
    """Exposures at each position, reduced to one row (`grouping: none` keeps each); with `group_by` position the most
    there may be. Left out: as the profile says."""
    group_by: Literal["index", "position"] | None = None
    """`position`: the detector takes any number of frames at each position, and those taken one after another at one
    place are a row; such a run ends at `Stop`. Left out: as the profile says."""
    extra_frames: Annotated[int, Field(ge=0, le=MOST_FRAMES)] = 0
    """Frames reserved for repeats; a run with extra frames ends at `Stop`."""
    planned_x_m: tuple[float, ...] = ()
    """Where the beam is to be on the sample, x, one per position, in the order of the scan."""
    planned_y_m: tuple[float, ...] = ()
    """The same, y."""
    exposure_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Exposure time of one frame, if the plan knows it; else the service reads it from the detector."""
    energy_eV: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Photon energy that the plan asks for: rows off it by more than `quality.energy_tolerance` are rejected. Left out:
    rows off the energy of most of them."""
    raw_file: str | None = None
    """The NDFileHDF5 file of the same frames, if one is written: lost frames are fetched from it."""
    arrays_file: str | None = None
    """The HDF5 file of arrays that hardware captures in this scan, as its IOC names it. Left out: that of the
    profile."""
    references: RequestedReferences | None = None
    """Dark, flat and mask of this scan instead of the profile's."""
    flat_is: Literal["auto", "raw", "normalised"] | None = None
    """Whether the flat is as measured, or normalised and without a dark in it. Left out: as the profile says."""
    gaps: Literal["auto", "none"] | Annotated[float, Field(allow_inf_nan=False)] | None = None
    """The marker of pixels that do not measure, `auto` or `none`. Left out: as the profile says."""
    sample: Annotated[str, Field(max_length=MOST_SAMPLE_CHARACTERS)] = ""
    """Name of the sample, recorded in the file."""
    metadata: dict[str, Scalar] = Field(default_factory=dict)
    """Anything else worth keeping: plan name, run uid, proposal; 64 KiB as JSON at most."""

    @field_validator("scan_id")
    @classmethod
    def _scan_id_is_a_file_name(cls, value: str) -> str:
        if not SCAN_ID.fullmatch(value):
            raise ValueError(f"scan_id {value!r} cannot be a file name: use letters, digits, '_', '-', '.'")
        return value

    @field_validator("path")
    @classmethod
    def _path_stays_below_the_data_root(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/"):
            raise ValueError(f"path {value!r} must be relative to the data root and must not contain '..'")
        if not value.isprintable():
            raise ValueError(f"path {value!r} contains characters that no folder should have")
        return value.strip("/")

    @field_validator("path")
    @classmethod
    def _folders_have_names_that_fit(cls, value: str) -> str:
        for name in value.split("/"):
            if len(name.encode(errors="replace")) > MOST_NAME_BYTES:
                raise ValueError(f"the folder {name[:20]!r}... has a name of more than {MOST_NAME_BYTES} bytes")
        return value

    @field_validator("path", "sample", "raw_file", "arrays_file")
    @classmethod
    def _text_can_be_stored(cls, value: str | None) -> str | None:
        return None if value is None else storable(value)

    @field_validator("metadata")
    @classmethod
    def _metadata_can_be_stored(cls, value: dict[str, Scalar]) -> dict[str, Scalar]:
        for key, entry in value.items():
            try:
                storable(key)
                if isinstance(entry, str):
                    storable(entry)
            except ValueError as error:
                raise ValueError(f"{key!r}: {error}") from None
            if isinstance(entry, float) and not math.isfinite(entry):
                raise ValueError(f"{key!r} is {entry}, which the file's JSON cannot hold: leave it out, or give a text")
            if isinstance(entry, int) and abs(entry) > MOST_WHOLE:
                raise ValueError(f"{key!r} has more than 64 bits: give it as a text")
        if (n_bytes := len(json.dumps(value))) > MOST_METADATA_BYTES:
            raise ValueError(f"it is {n_bytes} bytes long as JSON; {MOST_METADATA_BYTES} is the most")
        return value

    @model_validator(mode="after")
    def _planned_positions_agree(self) -> Self:
        n_x, n_y = len(self.planned_x_m), len(self.planned_y_m)
        if n_x != n_y:
            raise ValueError(f"planned_x_m has {n_x} values and planned_y_m {n_y}: give one pair per position")
        if n_x and self.n_positions is not None and n_x != self.n_positions:
            raise ValueError(f"{n_x} planned positions but n_positions = {self.n_positions}")
        if not all(math.isfinite(value) for value in (*self.planned_x_m, *self.planned_y_m)):
            raise ValueError("planned positions must be finite numbers, in metres")
        return self

    @model_validator(mode="after")
    def _run_is_not_endless(self) -> Self:
        n_frames = (self.n_planned_frames or 0) + self.extra_frames
        if n_frames > MOST_FRAMES:
            raise ValueError(f"{n_frames} frames in one run; {MOST_FRAMES} is the most: divide the scan")
        return self

    @property
    def n_planned_frames(self) -> int | None:
        """Frames the run should have without repeats; None when the length is not known."""
        if self.n_positions is None or self.group_by == "position":
            return None
        return self.n_positions * self.frames_per_position


class RepeatRequest(BaseModel):
    """Positions of the run that receives frames, which are exposed again after the planned ones, as extra frames."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scan_id: str
    """Of the run."""
    positions: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=MOST_FRAMES)]
    """All that are repeated in the run, in order: planned positions, from 0. Those announced before come first."""


def storable(text: str) -> str:
    """The text, if HDF5 can hold it; raises `ValueError`. Half characters are no `str` to pydantic already."""
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored: leave it out")
    return text

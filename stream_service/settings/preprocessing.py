"""Settings of what becomes of frames before they are rows: live those of a profile, offline those of options."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stream_service.core.spread import STANDSTILL_M
from stream_service.settings.base import Settings


class Preprocessing(Settings):
    """Corrections, geometry and grouping of frames; the order and the arithmetic are in ADR 0002. Live and offline."""

    frames_per_position: Annotated[int, Field(ge=1)] = 1
    """Exposures at each scan position, with `group_by: position` the most there may be; a plan's request overrides
    it."""
    group_by: Literal["index", "position"] = "index"
    """What tells which frames are a row: `index`, their place in the run; or `position`, a detector that takes any
    number of frames at each position, so that those taken one after another at one place are a row. See
    group-by-position.md; a plan's request overrides it."""
    same_position_m: Annotated[float, Field(gt=0)] = STANDSTILL_M
    """For `group_by: position`: readbacks no further apart than this are one position. Larger than what they scatter
    while the stage stands (its dead band, the noise of its encoder), smaller than half a step of the scan."""
    grouping: Literal["sum", "mean", "first", "best", "none"] = "sum"
    """How the exposures of a position become one row; `none` keeps a row for each."""
    allow_spread: bool = False
    """Combine exposures of a row even if they were taken at different places; else such rows are flagged."""
    roi: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    """Rows and columns kept, in raw detector axes, before binning."""
    roi_center: str | None = None
    """`row,column` in raw detector axes; a fraction of the sensor when written with a decimal point and below 1."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Degrees counter-clockwise (numpy's rot90), before the flip."""
    flip: Literal["none", "h", "v", "hv"] = "none"
    """h mirrors left and right, v mirrors up and down."""
    bin: Annotated[int, Field(ge=1)] = 1
    """Raw pixels per stored pixel on each axis."""
    sat: float | None = None
    """Raw value from which a pixel is saturated."""
    sat_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """A pixel goes into the mask if it saturates in more than this fraction of the frames; 0 = in any frame."""
    gaps: Literal["auto", "none"] | float = "auto"
    """Pixels that hold a marker and no measurement (gaps, dead pixels), told by the first frames: `auto` knows the
    markers of the pixel type (4294967295, -1, -2, NaN; 65535 where no measurement comes near it); a number is the
    marker itself; `none` takes all but NaN for measurements."""
    flat_is: Literal["auto", "raw", "normalised"] = "auto"
    """`raw`: as measured, the dark is subtracted from it; `normalised`: its mean is about 1, and it has no dark in it;
    `auto` recognises which, or asks."""
    bad_pixels: Literal["keep", "interpolate"] = "keep"
    """The mask is a weight for the reconstruction; interpolation from good neighbours only on request."""
    gain: Annotated[float, Field(gt=0)] = 1.0
    """ADU per photon; frames are divided by it."""
    negatives: Literal["clip", "keep"] = "clip"
    """Values below 0 after dark subtraction: PtyPy's engines take square roots, so they are clipped by default."""

    @model_validator(mode="after")
    def _rows_have_positions(self) -> Self:
        if self.group_by == "position" and self.grouping == "none":
            raise ValueError(
                "group_by: position makes a row of the frames of a position, and grouping: none keeps a row for each: "
                "choose sum, mean, first or best, or group_by: index"
            )
        return self


class References(Settings):
    """Files with the dark, the flat and the mask in raw detector axes: `.npy`, `.npz` or HDF5 (`FILE:/dataset`)."""

    dark: str | None = None
    """No-beam reference, ADU."""
    flat: str | None = None
    """No-sample reference, as measured or normalised (preprocessing.flat_is)."""
    mask: str | None = None
    """0 = good, anything else = bad."""

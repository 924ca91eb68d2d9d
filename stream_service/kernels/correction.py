"""Corrections of every raw frame, as the operator gives them, and the same as one set of numbers per raw pixel.

Everything here is in raw detector axes and covers the whole sensor as it is read out. A pixel is bad when the mask says
so, when it is a gap, when its dark is not finite or beyond 1e30, or when its flat (a raw one minus the dark) is not
finite, not above zero or too small for its inverse to be a float32. Bad pixels keep finite corrections (dark as given
or 0, flat 1), so that they cannot spread NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


LARGEST_ADU = 1e30
"""A dark beyond this is not a measurement, and sums of such values would leave the range of float32."""


class CorrectionError(ValueError):
    """References or limits that cannot correct frames of this shape; the text says what to change."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The references of one sensor, ready to apply: each (y, x) in raw axes.

    The arrays may be shared between users: do not write into them.
    """

    dark: NDArray[np.float32]
    """Subtracted from every frame, in ADU; 0 where there is none."""
    flat: NDArray[np.float32]
    """Relative response, mean 1 over the good pixels; 1 where there is none."""
    inverse_flat: NDArray[np.float32]
    """What frames are multiplied by, 1/flat."""
    good: NDArray[np.bool_]
    """Pixels that measure."""


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """References and limits, in raw detector axes. Raises `CorrectionError` when they contradict each other."""

    dark: NDArray[Any] | None = None
    """No-beam frame (y, x) of the same exposure time, in ADU, float32."""
    flat: NDArray[Any] | None = None
    """No-sample frame (y, x), float32; its mean is made 1 here."""
    mask: NDArray[Any] | None = None
    """Bad-pixel map (y, x): False or 0 is good, everything else bad."""
    gaps: NDArray[Any] | None = None
    """Pixels (y, x) that hold a marker and no measurement: bad, and 0 in the stored frame unless interpolated."""
    flat_is: Literal["raw", "normalised"] = "raw"
    """A raw flat is as measured, in ADU, and its dark is subtracted; a normalised one has no dark in it any more."""
    saturation_level: float | None = None
    """A raw value at or above it is saturated, in ADU; None judges nothing."""
    gain: float = 1.0
    """ADU per photon; corrected values are divided by it."""
    negatives: Literal["clip", "keep"] = "clip"
    """Whether values below 0 after dark and flat become 0 (PtyPy takes square roots and weights of 1/I) or stay."""
    bad_pixels: Literal["keep", "interpolate"] = "keep"
    """Whether bad pixels keep their value or get the mean of the nearest good ones. Either way the mask says bad."""

    def __post_init__(self) -> None:
        for name, dtype in (("dark", np.float32), ("flat", np.float32), ("mask", np.bool_), ("gaps", np.bool_)):
            reference = getattr(self, name)
            if reference is None:
                continue
            if reference.ndim != 2:
                raise CorrectionError(f"{name} has shape {reference.shape}: it must be one image (y, x)")
            object.__setattr__(self, name, np.asarray(reference).astype(dtype))
        shapes = {name: image.shape for name, image in self._references.items()}
        if len(set(shapes.values())) > 1:
            raise CorrectionError(f"references of different shapes: {shapes}; all must be of one sensor")
        if not _SMALLEST <= self.gain <= _LARGEST:
            raise CorrectionError(f"gain {self.gain} must be a number above 0 (ADU per photon)")
        if self.saturation_level is not None and not abs(self.saturation_level) <= _LARGEST:
            raise CorrectionError(f"saturation level {self.saturation_level} must be finite; None to judge nothing")
        if self.negatives not in ("clip", "keep"):
            raise CorrectionError(f"negatives {self.negatives!r} is not one of clip, keep")
        if self.flat_is not in ("raw", "normalised"):
            raise CorrectionError(f"flat_is {self.flat_is!r} is not one of raw, normalised")
        if self.bad_pixels not in ("keep", "interpolate"):
            raise CorrectionError(f"bad_pixels {self.bad_pixels!r} is not one of keep, interpolate")

    @property
    def _references(self) -> dict[str, NDArray[Any]]:
        given = {"dark": self.dark, "flat": self.flat, "mask": self.mask, "gaps": self.gaps}
        return {name: image for name, image in given.items() if image is not None}

    def calibrate(self, raw_shape: tuple[int, int]) -> Calibration:
        """The references as numbers per pixel for frames of this shape (y, x).

        Raises `CorrectionError` when a reference has another shape, or leaves no good pixel.
        """
        for name, image in self._references.items():
            if image.shape != raw_shape:
                raise CorrectionError(
                    f"{name} has shape {image.shape} but frames have {raw_shape}: take it with the same readout"
                )
        good = np.ones(raw_shape, bool) if self.mask is None else ~self.mask
        if not good.any():
            raise CorrectionError(f"the mask calls all {good.size} pixels bad: is it inverted? (0 = good, 1 = bad)")
        if self.gaps is not None:
            good &= ~self.gaps
            if not good.any():
                raise CorrectionError(
                    "mask and gaps leave no good pixel: is the mask inverted (0 = good), or are the frames without a "
                    "measurement? 'gaps' says what is a gap (--gaps none)"
                )
        dark = np.zeros(raw_shape, np.float32)
        if self.dark is not None:
            has_dark = np.abs(self.dark) < LARGEST_ADU  # False for NaN, too
            good &= has_dark
            dark = np.where(has_dark, self.dark, np.float32(0))
        flat = np.ones(raw_shape, np.float32)
        inverse_flat = np.ones(raw_shape, np.float32)
        if self.flat is not None:
            response = self.flat.astype(np.float64) - (dark if self.flat_is == "raw" else 0.0)
            good &= np.isfinite(response) & (response > 0)
            if good.any():
                response /= response[good].mean()
                with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                    inverse = (1.0 / response).astype(np.float32)
                good &= np.isfinite(inverse)
                flat = np.where(good, response, 1.0).astype(np.float32)
                inverse_flat = np.where(good, inverse, np.float32(1))
        if not good.any():
            raise CorrectionError(
                "dark and flat leave no good pixel: a raw flat must be above the dark and finite; one that has lost "
                "its dark already is declared (--flat-is normalised)"
            )
        return Calibration(dark=dark, flat=flat, inverse_flat=inverse_flat, good=good)

"""Pixels that hold a marker in place of a measurement: gaps between modules, dead pixels, NaN.

A detector says so by a value: 2^32-1 and 2^32-2 (Eiger), -1 and -2 (Pilatus), the largest of a shorter type (65535),
NaN. Whether such a value is one is told by the first frames of a scan, in which the pixel never changes:

- not a number, and what no detector counts to in a frame (the largest values of 32 bits and more): always a marker
- negative numbers: if no other pixel is ever negative, or none by half as much (-9999 below noise); else the frames
  have lost their dark, and it is a measurement
- the largest values of 8 and 16 bits: if all others stay below a quarter of them, so that the frames do not use the
  range of the type; and if the pixels lie alone, or in lines from the border. A closed patch may be a saturated beam.

What is left open is said, and the operator decides. A frame with one value in every pixel tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stream_service.text.counted import agrees, counted

GapSetting = Literal["auto", "none"] | float
"""How gaps are found: `auto`; `none` takes all but what is not a number for measurements; or the marker itself."""
FIRST_FRAMES = 5
"""Frames looked at: a measurement that is the same in five is at the end of its range, or there is no beam."""
USED_RANGE = 0.25
"""Share of the largest value from which on frames are said to use the range of their type."""
MOST_NEGATIVE = 0.5
"""Share of pixels: what is negative in more of them is not a marker."""
NEGATIVE_MARKERS = (-1, -2)
"""Of Pilatus and of what converts Eiger's files: gap, dead pixel."""
FAR_BELOW = 2
"""Times the lowest negative measurement: what never changes below it is a marker, such as -9999."""
RARE = 0.1
"""Share of the pixels with a marker that others may have in single frames: Eiger files as int32 saturate at -1."""
MOST_MARKERS, MOST_LOOKED_AT = 4, 1 << 16
"""Different negative markers there may be, in so many negative pixels: noise has more of them."""
RIM = 3
"""Pixels around a closed patch that belong to it."""

NO_NUMBER = "NaN"

Image = NDArray[Any]
Pixels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """Gaps and dead pixels found in the first frames."""

    is_gap: Pixels
    """(y, x) pixels that do not measure."""
    values: tuple[str, ...] = ()
    """The markers found, as they are read."""
    told_by: Sequence[Image] = ()
    """The frames that this was told by."""
    doubt: str = ""
    """What is left to the operator, in a sentence; empty if nothing is."""

    @property
    def sentence(self) -> str:
        """The finding in a sentence; empty if nothing was found."""
        n = int(np.count_nonzero(self.is_gap))
        if not n:
            return ""
        if not self.told_by:
            return f"{counted(n, 'pixel')} taken for gaps or dead pixels by the first frames, masked, and stored as 0"
        n_frames = len(self.told_by)
        frames = "the first frame" if n_frames == 1 else f"each of the first {n_frames} frames"
        pixels = f"{counted(n, 'pixel')} {agrees(n, 'holds')}"
        otherwise = "" if self.values == (NO_NUMBER,) else " (--gaps none takes such values for measurements)"
        return (
            f"{pixels} {' or '.join(self.values)} in {frames}: taken for gaps or dead pixels, masked, and stored as 0"
            f"{otherwise}"
        )


def may_have_gaps(frame: Image, setting: GapSetting) -> bool:
    """True for a frame with values that are markers if later frames agree; nearly no frame of most detectors has."""
    if frame.dtype.kind == "f" and not np.isfinite(frame).all():
        return True
    if setting == "none":
        return False
    if setting != "auto":
        return True
    largest = frame.max()
    if largest >= least_certain(frame.dtype) or (frame.dtype.kind != "u" and _may_be_markers(frame[frame < 0])):
        return True
    return bool(largest >= _short_limit(frame.dtype) - 1 and _is_largest(frame).any())


def find_gaps(frames: Sequence[Image] | Image, setting: GapSetting = "auto") -> Gaps:
    """The gaps that the first frames (y, x) of a scan tell of."""
    shown = [frame for frame in frames if not is_uniform(frame)]
    if not shown:
        return Gaps(np.zeros(frames[0].shape, bool), doubt=_doubt_of_uniform(frames) if setting == "auto" else "")
    found = _Search(shown, setting)
    values = tuple(NO_NUMBER if math.isnan(value) else f"{value:.10g}" for value in found.values())
    return Gaps(found.is_gap, values, shown, found.doubt)


def is_uniform(frame: Image) -> bool:
    """True for a frame of one value in all pixels, or no number: not written, without light, or saturated all over."""
    if frame.dtype.kind == "f" and not np.isfinite(frame).any():
        return True
    return bool((frame == frame.flat[0]).all())


def is_blank(frame: Image) -> bool:
    """True for a frame without any measurement: no number, or one marker in every pixel."""
    if frame.dtype.kind == "f" and not np.isfinite(frame).any():
        return True
    value = frame.flat[0]
    return bool((value in NEGATIVE_MARKERS or value >= least_certain(frame.dtype)) and (frame == value).all())


def least_certain(dtype: np.dtype[Any]) -> float:
    """The smallest value that no detector counts to in a frame, so that it is a marker; infinite for short types."""
    if dtype.kind == "f":
        return 2.0**32 if dtype.itemsize == 4 else 2.0**32 - 2  # as float32 has them
    if dtype.itemsize < 4:
        return math.inf
    return float(2**31 - 2 if dtype == np.int32 else 2**32 - 2)


def _certain_values(dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Markers by themselves, in this type."""
    if dtype.kind == "f" or dtype.itemsize == 8:
        own = () if dtype.kind == "f" else (int(np.iinfo(dtype).max), int(np.iinfo(dtype).max) - 1)
        return (2**32 - 1, 2**32 - 2, *own)
    return () if dtype.itemsize < 4 else (int(np.iinfo(dtype).max), int(np.iinfo(dtype).max) - 1)


def _short_limit(dtype: np.dtype[Any]) -> int:
    """The largest value of 8 or 16 bits that frames of this type may have: wider types hold what was 16 bits once."""
    return int(np.iinfo(dtype).max) if dtype.kind in "iu" and dtype.itemsize < 4 else 2**16 - 1


class _Search:
    """The pixels that never change in frames, by kind of marker."""

    def __init__(self, frames: Sequence[Image], setting: GapSetting) -> None:
        self.doubt = ""
        self._frames, self._first = frames, frames[0]
        self._dtype = dtype = self._first.dtype
        self._stays = np.ones(self._first.shape, bool)
        self.is_gap = np.zeros(self._first.shape, bool)
        if dtype.kind == "f":
            self.is_gap = np.logical_and.reduce([~np.isfinite(frame) for frame in frames])
        for frame in frames[1:]:
            self._stays &= frame == self._first
        if setting == "none":
            return
        if setting != "auto":
            has_marker = self._stays & _equals(self._first, float(setting))
            if not has_marker.any():
                self.doubt = (
                    f"no pixel holds {setting:.10g} in each of the first {counted(len(frames), 'frame')}: nothing is "
                    f"masked as a gap (--gaps {setting:.10g})"
                )
            self.is_gap |= has_marker
            return
        for value in _certain_values(dtype):
            self.is_gap |= self._stays & (self._first == dtype.type(value))
        if dtype.kind != "u":
            self._add_negative()
        self._add_largest()

    def values(self) -> list[float]:
        """Those that gaps hold."""
        found = np.unique(self._first[self.is_gap])
        return [value.item() for value in found[:4]]

    def _add_negative(self) -> None:
        is_marker = self._stays & (self._first < 0)
        values = self._first[is_marker]
        if not _few(values) or values.size > MOST_NEGATIVE * is_marker.size:
            return
        others = [frame[~is_marker & (frame < 0)] for frame in self._frames]
        if any(self._is_genuine(negative, values) for negative in others):
            lowest = min(float(negative.min(initial=0)) for negative in others)
            is_marker &= self._first < FAR_BELOW * lowest
            values = self._first[is_marker]
        if not values.size:
            return
        if len(self._frames) > 1 or np.isin(values, NEGATIVE_MARKERS).all():
            self.is_gap |= is_marker

    @staticmethod
    def _is_genuine(others: Image, markers: Image) -> bool:
        """True if negative numbers of other pixels are measurements, and no markers in this frame alone."""
        return others.size > RARE * markers.size or not np.isin(others, markers).all()

    def _add_largest(self) -> None:
        if len(self._frames) == 1:
            return
        is_marker = self._stays & _is_largest(self._first)
        if not is_marker.any():
            return
        limit, others = _short_limit(self._dtype), ~is_marker & ~self.is_gap
        largest = max(float(np.fmax.reduce(frame[others], initial=0)) for frame in self._frames)
        in_doubt = is_marker if largest >= USED_RANGE * limit else _closed_patches(is_marker)
        self.is_gap |= is_marker & ~in_doubt
        if n := int(np.count_nonzero(in_doubt)):
            pixels = f"{counted(n, 'pixel')} {agrees(n, 'holds')}"
            self.doubt = (
                f"{pixels} {limit} or {limit - 1} in each of the first {len(self._frames)} frames, which may be "
                f"saturation: 'sat' masks what is saturated (--sat {limit - 1}), 'gaps' what never measures "
                f"(--gaps {limit})"
            )


def _doubt_of_uniform(frames: Sequence[Image] | Image) -> str:
    """Sentence on first frames that tell nothing; none if they are dark, or are not used as they are blank."""
    first = frames[0]
    if is_blank(first) or first.flat[0] < _short_limit(first.dtype) - 1:
        return ""
    return (
        f"every pixel of the first {len(frames)} frames holds {first.flat[0]}: they are saturated or not valid, and do "
        f"not tell where gaps are: 'sat' masks what is saturated, 'gaps' (--gaps {first.flat[0]}) what never measures"
    )


def _few(values: Image) -> bool:
    """True if there are values, and so few different ones that they may be markers."""
    return 0 < np.unique(values[:MOST_LOOKED_AT]).size <= MOST_MARKERS


def _may_be_markers(negatives: Image) -> bool:
    """True if some of a frame's negative numbers may be markers: there are few, or several pixels hold the lowest."""
    return _few(negatives) or bool(negatives.size and np.count_nonzero(negatives == negatives.min()) > 1)


def _is_largest(frame: Image) -> Pixels:
    """Pixels that hold the largest value of 8 or 16 bits, or the next one."""
    limit = _short_limit(frame.dtype)
    return (frame == frame.dtype.type(limit)) | (frame == frame.dtype.type(limit - 1))


def _equals(frame: Image, value: float) -> Pixels:
    """Pixels that hold this value, as the frame's type would hold it; none if it cannot."""
    if frame.dtype.kind in "iu":
        limits = np.iinfo(frame.dtype)
        if not value.is_integer() or not limits.min <= value <= limits.max:
            return np.zeros(frame.shape, bool)
        return frame == frame.dtype.type(int(value))
    return frame == frame.dtype.type(value)


def _closed_patches(pixels: Pixels) -> Pixels:
    """Those that belong to a patch of at least 3 x 3 pixels which no straight line of them joins to the border."""
    from_border = np.zeros_like(pixels)
    for axis in (0, 1):
        from_border |= np.logical_and.accumulate(pixels, axis=axis)
        from_border |= np.flip(np.logical_and.accumulate(np.flip(pixels, axis), axis=axis), axis)
    inside = pixels & ~from_border
    core = inside.copy()
    for shifted in _shifts(inside):
        core &= shifted
    if not core.any():
        return core
    near = core
    for _ in range(RIM):
        near = np.logical_or.reduce([near, *_shifts(near)])
    return inside & near


def _shifts(pixels: Pixels) -> list[Pixels]:
    """The image moved by one pixel in each of eight directions; what comes in from outside is False."""
    ny, nx = pixels.shape
    padded = np.pad(pixels, 1)
    return [padded[dy : dy + ny, dx : dx + nx] for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]

"""Detector orientation, and the signs of the stage axes, from the frames of a scan.

Rotating frames and positions by 180° together changes nothing that any measurement could tell (the image comes
out upside down), so of eight mountings and two position signs eight pairs remain. In each pair either the camera or
the stage is to be trusted. Between a pair and the one with the frames upside down, which shows the twin, only the
side of the focus decides: where nobody says on which side the sample was, both are left, and the one that the file
has, if it has one of them, comes first, as `reconstruct` takes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.ptycho.optics.probe_estimate import LEAST_CORRELATION
from stream_service.ptycho.optics.scan_holograms import ScanHolograms
from stream_service.ptycho.orientation.detector_orientation import Orientation
from stream_service.ptycho.scan_file import ScanFile

LEAST_LEAD = 2.0
"""The right one agrees at least so many times better than the next: measured, 8 and more."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One pair: an orientation of the stored frames with the positions as they are; upside down with them reversed."""

    orientation: Orientation
    matrix_m: tuple[tuple[float, float], tuple[float, float]]
    """From pixels off the axis of a stored frame to metres on the sample."""
    correlation: float
    """Of the frames, laid onto the sample so."""


@dataclass(frozen=True, slots=True)
class ProfileLines:
    """Lines for a profile."""

    rotate: int
    flip: str
    stage_map: str
    resets_axis_signs: bool = False
    """The file was made with `detector.axis_signs`, which these lines make needless."""

    def __str__(self) -> str:
        lines = f"preprocessing: {{rotate: {self.rotate}, flip: {self.flip}}}\nstage_map: {self.stage_map}"
        return lines + ("\ndetector: {axis_signs: [1, 1]}" if self.resets_axis_signs else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. `best` is None where the frames do not tell."""

    candidates: tuple[Candidate, ...]
    """All eight, the best first."""
    best: Candidate | None
    """Where `sign_is_known` is False: the way of the file if it is one of the two, else that of a sample downstream."""
    sign_is_known: bool
    """It is known on which side of the focus the sample is, so that the twin is told from the truth."""
    defocus_m: float
    """By which `best` fits: given, or as its in-line hologram tells."""
    reason: str
    """In a sentence."""

    def fits_as_it_is(self, scan: ScanFile) -> bool:
        """The frames of the file, taken as they are, fit its positions (if the side of the focus is `defocus_m`'s)."""
        return self.best is not None and self.best.orientation == scan.upright


def judge(scan: ScanFile, seen: ScanHolograms) -> Verdict:
    """Lay the frames onto the sample in all eight ways."""
    given_m = scan.optics.defocus_m or 0.0
    side = 1.0 if scan.optics.propagation == "near_field" else math.copysign(1.0, given_m) if given_m else 0.0
    defocus_m, remark = given_m, ""
    found = _candidates(scan.pixel_m * given_m / (scan.det_dist_m + given_m), seen) if given_m else None
    if found is None or not _is_clear(found):
        # a distance that is not known, or not well enough, is seen; on which side of the focus cannot be
        scale_m = (side or 1.0) * _seen_scale(seen)
        defocus_m = scale_m * scan.det_dist_m / (scan.pixel_m - scale_m)
        found = _candidates(scale_m, seen)
        if given_m:
            remark = f". They do so for a defocus of {defocus_m * 1e6:.3g} um, not for the {given_m * 1e6:.3g} um given"
    first, second = found[0], found[1]
    reason = (
        f"frames agree to {first.correlation:.2f} where they overlap, in the next best way to {second.correlation:.2f}"
    )
    if not _is_clear(found):
        reason += (
            ": that does not decide. The sample must be out of focus and structured, and neighbouring positions must "
            "overlap; scan something rich in detail, defocused"
        )
        return Verdict(found, None, bool(side), defocus_m, reason)
    if not side and first.orientation.upside_down == scan.upright:
        first = next(one for one in found if one.orientation == scan.upright)
        defocus_m = -defocus_m
    return Verdict(found, first, bool(side), defocus_m, reason + remark)


def _is_clear(found: tuple[Candidate, ...]) -> bool:
    first, second = found[0], found[1]
    return first.correlation >= LEAST_CORRELATION and first.correlation > LEAST_LEAD * second.correlation


def _seen_scale(seen: ScanHolograms) -> float:
    """Metres on the sample per pixel, as frames agree best: its size only, since its sign is that of the frames."""
    tried = [
        seen.holograms.best_scale(orientation.matrix) for orientation in Orientation.all() if not orientation.flip_rows
    ]
    return abs(max(tried, key=lambda scale: scale.correlation).metres_per_pixel)


def _candidates(scale_m: float, seen: ScanHolograms) -> tuple[Candidate, ...]:
    """All eight, the best first."""
    found = (_candidate(orientation, scale_m, seen) for orientation in Orientation.all())
    return tuple(sorted(found, key=lambda one: one.correlation, reverse=True))


def _candidate(orientation: Orientation, scale_m: float, seen: ScanHolograms) -> Candidate:
    matrix = scale_m * orientation.matrix
    (yy, yx), (xy, xx) = matrix.tolist()
    return Candidate(orientation, ((yy, yx), (xy, xx)), seen.holograms.correlation(matrix))


def profile_lines(orientation: Orientation, position_sign: int, scan: ScanFile) -> ProfileLines:
    """The lines of a profile that orient frames and positions as well as those with which the file was made.

    Raises `SourceError` if the file does not say how it was made.
    """
    try:
        recorded = Orientation.of_profile(scan.preprocessing["rotate"], scan.preprocessing["flip"])
    except (KeyError, TypeError) as error:
        raise SourceError(f"{scan.path} does not say with which rotate and flip it was made") from error
    rotate, flip = orientation.after(recorded).profile
    stage_map = _stage_map(scan.profile.get("stage_map"), position_sign)
    return ProfileLines(rotate, flip, stage_map, resets_axis_signs=scan.axis_signs != (1, 1))


def _stage_map(recorded: Any, position_sign: int) -> str:
    if recorded is None:
        return "as it is" if position_sign > 0 else "as it is, with all four signs reversed"
    rows = ("[" + ", ".join(f"{position_sign * value + 0:g}" for value in row) + "]" for row in recorded)
    return f"[{', '.join(rows)}]"


def mosaic(seen: ScanHolograms, candidate: Candidate, bins: int = 24) -> npt.NDArray[np.float64]:
    """(y, x) the in-line hologram, put together of all frames; NaN where there is none. Sharp if it is right."""
    holograms = seen.holograms
    matrix = np.array(candidate.matrix_m)
    bin_m = np.sqrt(abs(np.linalg.det(matrix))) * holograms.cone_px / bins
    at = np.floor((holograms.positions_yx_m[:, np.newaxis, :] + holograms.cells_px @ matrix.T) / bin_m).astype(np.int64)
    at -= at.min(axis=(0, 1))
    ny, nx = at.max(axis=(0, 1)) + 1
    place = (at[..., 0] * nx + at[..., 1]).reshape(-1)
    n = np.bincount(place, minlength=ny * nx)
    total = np.bincount(place, holograms.contrast.reshape(-1), ny * nx)
    with np.errstate(invalid="ignore"):
        return np.where(n > 0, total / n, np.nan).reshape(ny, nx)

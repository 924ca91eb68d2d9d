"""Which way the camera hangs, and which way the stage moves the beam: what the frames of a scan say of it.

Turning frames and positions by half a turn together changes nothing that any measurement could tell (the image comes
out upside down), so of eight mountings and two position signs eight pairs remain. In each pair either the camera or
the stage is to be believed. Between a pair and the one with the frames upside down, which shows the twin, only the
sign of the defocus decides: without it four pairs are left, two and two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.ptycho.probe_estimate import LEAST_AGREEMENT
from stream_service.ptycho.scan_file import ScanFile
from stream_service.ptycho.scan_shadows import ScanShadows
from stream_service.ptycho.turn import Turn

LEAST_LEAD = 2.0
"""The right one agrees at least so many times better than the next: measured, 8 and more."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One pair: `turn` of the stored frames with the positions as they are; the same upside down with them reversed."""

    turn: Turn
    matrix_m: tuple[tuple[float, float], tuple[float, float]]
    """From pixels off the axis of a stored frame to metres on the sample."""
    agreement: float
    """Of the frames, laid onto the sample so."""


@dataclass(frozen=True, slots=True)
class ProfileLines:
    """What a profile has to say."""

    rotate: int
    flip: str
    stage_map: str

    def __str__(self) -> str:
        return f"preprocessing: {{rotate: {self.rotate}, flip: {self.flip}}}\nstage_map: {self.stage_map}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. `best` is None where the frames do not tell."""

    candidates: tuple[Candidate, ...]
    """All eight, the best first."""
    best: Candidate | None
    sign_is_known: bool
    """The optics say on which side of the focus the sample is, so that the twin is told from the truth."""
    reason: str
    """In a sentence."""


def judge(scan: ScanFile, seen: ScanShadows) -> Verdict:
    """Lay the frames onto the sample in all eight ways."""
    scale_m, is_known = _scale(scan, seen)
    candidates = sorted(
        (_candidate(turn, scale_m, seen) for turn in Turn.all()), key=lambda one: one.agreement, reverse=True
    )
    first, second = candidates[0], candidates[1]
    found = f"frames agree to {first.agreement:.2f} where they overlap, in the next best way to {second.agreement:.2f}"
    is_clear = first.agreement >= LEAST_AGREEMENT and first.agreement > LEAST_LEAD * second.agreement
    if not is_clear:
        found += (
            ": that does not decide. The sample must be out of focus and structured, and neighbouring positions must "
            "overlap; scan something rich in detail, defocused"
        )
    return Verdict(tuple(candidates), first if is_clear else None, is_known, found)


def _scale(scan: ScanFile, seen: ScanShadows) -> tuple[float, bool]:
    """Metres on the sample per pixel, and whether its sign is known; from the optics, else as frames agree best."""
    defocus_m = scan.optics.defocus_m
    if defocus_m:
        return scan.pixel_m * defocus_m / (scan.det_dist_m + defocus_m), True
    tried = [seen.shadows.best_scale(turn.matrix) for turn in Turn.all() if not turn.flip_rows]
    best = max(tried, key=lambda scale: scale.agreement)
    return abs(best.metres_per_pixel), False


def _candidate(turn: Turn, scale_m: float, seen: ScanShadows) -> Candidate:
    matrix = scale_m * turn.matrix
    (yy, yx), (xy, xx) = matrix.tolist()
    return Candidate(turn, ((yy, yx), (xy, xx)), seen.shadows.agreement(matrix))


def profile_lines(turn: Turn, position_sign: int, scan: ScanFile) -> ProfileLines:
    """The lines of a profile that turn frames and positions as well as those with which the file was made.

    Raises `SourceError` if the file does not say how it was made.
    """
    settings = scan.settings
    profile = settings.get("profile") or {}
    preprocessing = settings.get("preprocessing") or profile.get("preprocessing") or {}
    try:
        recorded = Turn.of_profile(preprocessing["rotate"], preprocessing["flip"])
    except (KeyError, TypeError) as error:
        raise SourceError(f"{scan.path} does not say with which rotate and flip it was made") from error
    rotate, flip = turn.after(recorded).profile
    return ProfileLines(rotate, flip, _stage_map(profile.get("stage_map"), position_sign))


def _stage_map(recorded: Any, position_sign: int) -> str:
    if recorded is None:
        return "as it is" if position_sign > 0 else "as it is, with all four signs reversed"
    rows = ("[" + ", ".join(f"{position_sign * value + 0:g}" for value in row) + "]" for row in recorded)
    return f"[{', '.join(rows)}]"


def mosaic(seen: ScanShadows, candidate: Candidate, bins: int = 24) -> npt.NDArray[np.float64]:
    """(y, x) the shadow of the sample, put together of all frames; NaN where there is none. Sharp if it is right."""
    shadows = seen.shadows
    matrix = np.array(candidate.matrix_m)
    bin_m = np.sqrt(abs(np.linalg.det(matrix))) * shadows.cone_px / bins
    at = np.floor((shadows.positions_yx_m[:, np.newaxis, :] + shadows.cells_px @ matrix.T) / bin_m).astype(np.int64)
    at -= at.min(axis=(0, 1))
    ny, nx = at.max(axis=(0, 1)) + 1
    place = (at[..., 0] * nx + at[..., 1]).reshape(-1)
    n = np.bincount(place, minlength=ny * nx)
    total = np.bincount(place, shadows.contrast.reshape(-1), ny * nx)
    with np.errstate(invalid="ignore"):
        return np.where(n > 0, total / n, np.nan).reshape(ny, nx)

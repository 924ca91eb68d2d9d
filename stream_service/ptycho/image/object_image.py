"""The object of a reconstruction as one looks at it: where it is covered, and its phase without ramp and offset."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.ptycho.ptypy.ptyr import Ptyr

LEAST_DOSE = 0.25
"""Of the median dose where the beam was at all: with less light than that there is more noise than image."""


def covered_pixels(ptyr: Ptyr, positions_xy_m: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """(ny, nx) where on the object there was light enough for an image; positions (rows, 2) of the rows used."""
    dose = _dose(ptyr, positions_xy_m)
    lit = dose > 1e-3 * dose.max()
    return dose > LEAST_DOSE * np.median(dose[lit]) if lit.any() else lit


def flattened_phase(
    image: npt.NDArray[np.complexfloating[Any, Any]], covered: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Phase in radians without the ramp and the offset that ptychography cannot know, NaN where not covered."""
    inside = np.where(covered, image, 0)
    slope_y = np.angle(np.sum(inside[1:] * np.conj(inside[:-1])))
    slope_x = np.angle(np.sum(inside[:, 1:] * np.conj(inside[:, :-1])))
    rows, columns = np.indices(image.shape)
    flat = image * np.exp(-1j * (slope_y * rows + slope_x * columns))
    flat = flat * np.exp(-1j * np.angle(np.sum(flat[covered])))
    return np.where(covered, np.angle(flat), np.nan)


def _dose(ptyr: Ptyr, positions_xy_m: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    ny, nx = ptyr.object.shape
    intensity = (np.abs(ptyr.probe) ** 2).sum(axis=0)
    half_y, half_x = (n // 2 for n in intensity.shape)
    dose = np.zeros((ny, nx))
    for x_m, y_m in positions_xy_m:
        top = round((y_m - ptyr.origin_yx_m[0]) / ptyr.pixel_yx_m[0]) - half_y
        left = round((x_m - ptyr.origin_yx_m[1]) / ptyr.pixel_yx_m[1]) - half_x
        rows = slice(max(top, 0), min(top + intensity.shape[0], ny))
        columns = slice(max(left, 0), min(left + intensity.shape[1], nx))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            continue
        inside = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        dose[rows, columns] += intensity[inside]
    return dose

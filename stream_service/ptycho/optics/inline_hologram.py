"""The in-line hologram of the sample in the bright-field cone: scale and orientation by its motion.

Out of focus, the cone behind a focusing optic holds an in-line hologram of the sample, magnified. By the Fresnel
scaling theorem it moves with the sample exactly, fringes and all: the detector pixel that lies by `pixel` off the axis
sees the sample at `position + scale @ pixel`, whatever the sample is. So if all frames are laid onto the sample with
the right matrix, they agree where they overlap. The matrix says by how much the sample is out of focus and on which
side of it (far field), the magnification (near field), and the detector orientation.

It cannot be seen with the sample in focus, or without a sample.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

CONE_LEVEL = 0.3
"""Of the plateau of the mean frame: more is the bright-field cone, less is light that the sample scattered."""
CONE_CELLS = 40
"""Cells across the cone: frames are binned to about this, which is plenty for an in-line hologram and quick."""
MOST_FRAMES = 250
"""Those in the middle of the scan, where neighbours overlap on all sides."""
BINS = {"coarse": 10, "fine": 28}
"""Across the cone, for laying frames onto each other. The larger they are, the wider is the peak of the correlation."""
LEAST_OVERLAP = 0.3
"""Of a frame, on the average, for a correlation to mean something."""
MOST_STEPS = 1000
"""From one end of a scan to the other; positions that are nearer to each other are the same."""
MOST_BINS = 4_000_000
"""On the sample: 32 MB of memory for a moment."""
COARSE_THINNING = 4
"""One cell of so many is enough for large bins."""
COARSE_STEP, FINE_STEP = 1.06, 1.012
"""Between two scales of the search."""
N_CANDIDATES = 4
"""Of the coarse search that are looked at closely."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Magnification and orientation of the sample as the detector sees it."""

    metres_per_pixel: float
    """On the sample; negative if the in-line hologram is upside down against the positions."""
    correlation: float
    """Correlation of a frame with what its neighbours say of the same place: 0 = none, 1 = perfect."""


@dataclass(frozen=True, slots=True, eq=False)
class InlineHolograms:
    """The frames of a scan, as relative brightness in the cone."""

    contrast: Floats
    """(frames, cells) brightness relative to the mean frame, minus its mean over the frame."""
    cells_px: Floats
    """(cells, 2) row and column of each cell off the optical axis, in detector pixels."""
    positions_yx_m: Floats
    """(frames, 2)"""

    @classmethod
    def of(
        cls,
        frames: Iterable[npt.NDArray[Any]],
        mean: Floats,
        good: npt.NDArray[np.bool_],
        center_px: tuple[float, float],
        positions_yx_m: Floats,
    ) -> Self:
        """`frames` (y, x) one by one, in the order of the positions; `mean` of them all, `good` pixels (y, x)."""
        cone = bright_field_cone(mean, good)
        rows, columns = np.nonzero(cone)
        cell = max(1, round(max(np.ptp(rows), np.ptp(columns)) / CONE_CELLS))
        label = (rows // cell) * (mean.shape[1] // cell + 1) + columns // cell
        _, label = np.unique(label, return_inverse=True)
        count = np.bincount(label)
        whole = count >= 0.5 * cell * cell
        expected = np.bincount(label, mean[cone])
        contrast = np.array([np.bincount(label, frame[cone]) / expected for frame in frames])[:, whole]
        contrast /= np.maximum(contrast.mean(axis=1, keepdims=True), 1e-12)
        place = np.column_stack([np.bincount(label, part) / count for part in (rows, columns)])[whole]
        return cls(contrast - 1.0, place - np.array(center_px), positions_yx_m)

    @property
    def cone_px(self) -> float:
        """Diameter of the cone, in detector pixels."""
        return float(np.ptp(self.cells_px, axis=0).max())

    def correlation(self, matrix: Floats, bins: int = BINS["fine"]) -> float:
        """Cross-correlation of the frames laid onto the sample with `matrix` (2, 2), metres per pixel."""
        bin_m = np.sqrt(abs(np.linalg.det(matrix))) * self.cone_px / bins
        # in a box of its own every frame is summed up at once, and then laid onto the sample
        (y, corner_y, box_y, n_y), (x, corner_x, box_x, n_x) = (
            _boxed(np.floor((position[:, np.newaxis] + offset) / bin_m).astype(np.int64))
            for position, offset in zip(self.positions_yx_m.T, matrix @ self.cells_px.T, strict=True)
        )
        if n_y * n_x > MOST_BINS:
            return 0.0  # frames that small hardly overlap
        n_boxes, box = len(y), box_y * box_x
        own = (y * box_x + x + box * np.arange(n_boxes)[:, np.newaxis]).ravel()
        counts = np.bincount(own, minlength=n_boxes * box)
        lit = np.flatnonzero(counts)
        sums, counts = np.bincount(own, self.contrast.ravel(), n_boxes * box)[lit], counts[lit]
        frame, cell = np.divmod(lit, box)
        keys = (corner_y[frame] + cell // box_x) * n_x + corner_x[frame] + cell % box_x
        total, n = np.bincount(keys, sums), np.bincount(keys, counts)
        n_others = n[keys] - counts
        seen = n_others > 0
        if seen.mean() < LEAST_OVERLAP:
            return 0.0
        mine, theirs = sums[seen] / counts[seen], (total[keys] - sums)[seen] / n_others[seen]
        mine, theirs = mine - mine.mean(), theirs - theirs.mean()
        norm = np.sqrt((mine**2).sum() * (theirs**2).sum())
        return float((mine * theirs).sum() / norm) if norm > 0 else 0.0

    def best_scale(self, orientation: Floats | None = None) -> Scale:
        """The scale at which the frames agree best, of either sign; `orientation` (2, 2) is the detector's."""
        orientation = np.eye(2) if orientation is None else orientation
        smallest_m, largest_m = self._range_m()
        ladder = smallest_m * COARSE_STEP ** np.arange(int(np.log(largest_m / smallest_m) / np.log(COARSE_STEP)) + 2)
        thinned = InlineHolograms(
            self.contrast[:, ::COARSE_THINNING], self.cells_px[::COARSE_THINNING], self.positions_yx_m
        )
        coarse = thinned._try(np.concatenate([-ladder, ladder]), orientation, BINS["coarse"])
        promising = sorted(coarse, key=lambda scale: scale.correlation, reverse=True)[:N_CANDIDATES]
        around = FINE_STEP ** np.arange(-5.0, 6.0)
        fine = [self._try(scale.metres_per_pixel * around, orientation, BINS["fine"]) for scale in promising]
        peak = max(fine, key=lambda tried: max(scale.correlation for scale in tried))
        return _vertex(peak)

    def _try(self, scales: Floats, orientation: Floats, bins: int) -> list[Scale]:
        return [Scale(float(scale), self.correlation(scale * orientation, bins)) for scale in scales]

    def _range_m(self) -> tuple[float, float]:
        """From frames that only just overlap to a cone ten times as wide as the scan."""
        gaps = self.positions_yx_m[:, np.newaxis] - self.positions_yx_m
        distance = np.hypot(gaps[..., 0], gaps[..., 1])
        np.fill_diagonal(distance, np.inf)
        nearest_m = float(np.median(distance.min(axis=1)))
        extent_m = float(np.ptp(self.positions_yx_m, axis=0).max())
        return max(nearest_m, extent_m / MOST_STEPS) / self.cone_px, 10 * extent_m / self.cone_px


def _boxed(at: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int, int]:
    """Of bins along an axis (frames, cells): those in the box of each frame, where it begins, its size, that of all."""
    begin = at.min(axis=1)
    inside = at - begin[:, np.newaxis]
    begin -= begin.min()
    size = int(inside.max()) + 1
    return inside, begin, size, int(begin.max()) + size


def bright_field_cone(mean: Floats, good: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(y, x) the pixels of the mean frame that the direct beam lights."""
    return good & (mean > CONE_LEVEL * plateau(mean, good))


def plateau(mean: Floats, good: npt.NDArray[np.bool_]) -> float:
    """Typical brightness of the cone: the median of what is brighter than a tenth of the brightest."""
    values = mean[good & (mean > 0)]
    if not len(values):
        return np.inf  # no light, no cone
    return float(np.median(values[values >= 0.1 * np.percentile(values, 99.5)]))


def _vertex(tried: list[Scale]) -> Scale:
    """The best of evenly spaced scales, between which the correlation is a parabola."""
    at = max(range(len(tried)), key=lambda index: tried[index].correlation)
    best = tried[at]
    if not 0 < at < len(tried) - 1:
        return best
    before, after = tried[at - 1].correlation, tried[at + 1].correlation
    curvature = before - 2 * best.correlation + after
    steps = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return Scale(best.metres_per_pixel * FINE_STEP**steps, best.correlation)

"""The table of a run: of its latest rows the thirty numbers by which they are judged, 280 bytes each.

It depends on the rows and their order alone, not on the blocks in which they come.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.core.row import has_trusted_position
from stream_service.qc.embedding import FLOOR, N_RINGS, Basis, ring_of_cell
from stream_service.qc.kernels.codes import (
    BANDS,
    COM_X,
    COM_Y,
    LOG_CONTRAST,
    LOG_FINE,
    LOG_INTENSITY,
    LOG_MAX,
    LOG_SATURATED,
    LOWER,
    RIGHT,
    ZERO_SHARE,
)
from stream_service.qc.kernels.rows import describe, fingerprint
from stream_service.qc.scan_values import FEWEST_COUNTS, log_counts

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[Any]]
"""Of the table by name, all of the same rows."""

WARM_UP_ROWS = 512
"""The basis of the embedding is made of these and then frozen: their cells take half a megabyte, and 512 rows hold
40 times as much as is asked of them, 12 components."""
GROWTH = 1.25
LEAST_ROOM = 1024

FURTHEST_PIXELS = 1e9
"""Of the centre of mass of counts whose sum is all but zero: the square of more is no number."""
SMALLEST = FEWEST_COUNTS
"""Under a logarithm: less is nothing."""


class Value(NamedTuple):
    """A number by which a row is compared with its neighbours."""

    name: str
    floor: float
    """Differences below this do not matter, however quiet a scan is: the unit of a deviation at the least."""


FEATURE_VALUES = (
    Value("log_intensity", 0.01),  # steps of a top-up
    Value("com_y", 0.3),
    Value("com_x", 0.3),  # pixels; drifts of the pointing are slower than a scan
    Value("log_contrast", 0.02),
    Value("log_fine", 0.02),
    Value("log_max", 0.05),
    Value("zero_share", 0.005),
    Value("log_saturated", 0.5),
    Value("lower", 0.01),
    Value("right", 0.01),
    *(Value(f"ring_{ring}", 0.005) for ring in range(N_RINGS)),
)
N_FEATURES = len(FEATURE_VALUES)
COORDINATE_FLOOR, ERROR_FLOOR = 0.1, 0.02


class RowTable:
    """Columns that grow by `add`, of the rows from `first` on.

    `values` (n, f) are the features, the coordinates and the error of the embedding. `is_good` and `difference` (n, f)
    are what the last judgement left there: rows that others are compared with, and how far each is from its neighbours.
    """

    def __init__(self, frame_shape: tuple[int, int], pca_k: int, warm_up_rows: int = WARM_UP_ROWS) -> None:
        self.n_pixels = frame_shape[0] * frame_shape[1]
        self.floors = np.array([*(value.floor for value in FEATURE_VALUES), *(COORDINATE_FLOOR,) * pca_k, ERROR_FLOOR])
        self._pca_k, self._warm_up_rows = pca_k, warm_up_rows
        self._basis: Basis | None = None
        """Frozen, once there are rows enough."""
        self._draft: Basis | None = None
        """Until then: that of the rows when it was renewed."""
        self._first_logs = np.empty((0, 0))
        self._n = 0
        self.first = 0
        self._columns: dict[str, npt.NDArray[Any]] = {
            "x_m": np.empty(0),
            "y_m": np.empty(0),
            "energy_eV": np.empty(0),
            "ring_current_mA": np.empty(0, np.float32),
            "is_open": np.empty(0, bool),
            "is_placed": np.empty(0, bool),
            "dark": np.empty(0, np.uint32),
            "fingerprint": np.empty(0, np.uint64),
            "values": np.empty((0, len(self.floors)), np.float32),
            "is_good": np.empty(0, bool),
            "difference": np.empty((0, len(self.floors)), np.float32),
        }

    def __len__(self) -> int:
        """All rows so far, forgotten ones too."""
        return self._n

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name][: self._n - self.first]

    def columns(self, first: int | None = None, last: int | None = None) -> Columns:
        """All columns of the rows that are kept from `first` to before `last`."""
        at = slice(0 if first is None else first - self.first, (self._n if last is None else last) - self.first)
        return {name: column[at] for name, column in self._columns.items()}

    def add(
        self,
        rows: np.ndarray[Any, Any],
        ring_current_mA: npt.ArrayLike | None = None,
        is_open: npt.ArrayLike | None = None,
        cells: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Add rows (n,) of `row_dtype`, with what else is known of each.

        `cells` (n, side, side), always of one side, take the place of those of the rows.
        """
        if not len(rows):
            return
        first, n = self._n, len(rows)
        self._columns = _with_room(self._columns, first + n - self.first)
        at = slice(first - self.first, first - self.first + n)
        column = self._columns
        for name in ("x_m", "y_m", "energy_eV"):
            column[name][at] = rows[name]
        column["ring_current_mA"][at] = np.nan if ring_current_mA is None else ring_current_mA
        column["is_open"][at] = True if is_open is None else is_open
        column["is_placed"][at] = has_trusted_position(rows)
        features = np.array(rows["features"])  # a copy, also of one row: kernels have one type for all of them
        fingerprint(features.view(np.uint32).reshape(n, -1), column["fingerprint"][at])
        cells = np.ascontiguousarray(features["cells"] if cells is None else cells)
        logs, rings, halves = np.empty((n, cells[0].size)), np.empty((n, N_RINGS)), np.empty((n, 2))
        describe(cells, FLOOR, ring_of_cell(cells.shape[1]), logs, rings, halves, column["dark"][at])
        values = column["values"][at]
        values[:, LOWER : RIGHT + 1], values[:, RIGHT + 1 : N_FEATURES] = halves, rings
        self._measure(features, values)
        self._n += n
        self._embed(first, logs)

    def forget(self, before: int) -> None:
        """Keep the rows from `before` on."""
        kept = slice(before - self.first, self._n - self.first)
        for column in self._columns.values():
            column[: self._n - before] = column[kept]
        self.first = before

    def renew_basis(self) -> None:
        """Embed all rows so far in the basis that they make, while it is not frozen."""
        if self._basis is None and self._n:
            self._draft = Basis.of(self._first_logs, self._pca_k)
            self._project(self._draft, 0, self._first_logs)

    def usual_bands(self) -> tuple[Floats, Floats]:
        """Share of the light that bands of rows, and of columns, usually get; of no rows none."""
        basis = self._basis or self._draft
        if basis is None:
            return np.empty(0), np.empty(0)
        side = math.isqrt(len(basis.centre))
        cells = np.maximum(np.exp(basis.centre) - FLOOR, 0).reshape(side, side)
        band = np.arange(side) * min(side, BANDS) // side
        total = max(float(cells.sum()), SMALLEST)
        begins = np.flatnonzero(np.diff(band, prepend=-1))
        rows, columns = (np.add.reduceat(cells.sum(axis=axis) / total, begins) for axis in (1, 0))
        return rows, columns

    def _measure(self, features: npt.NDArray[Any], out: npt.NDArray[np.float32]) -> None:
        intensity, square_sum, neighbour_sum, max_counts = (
            np.ascontiguousarray(features[name], np.float64)
            for name in ("intensity", "square_sum", "neighbour_sum", "max_counts")
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            out[:, LOG_INTENSITY] = log_counts(intensity)
            out[:, COM_Y] = np.clip(features["com_y"], -FURTHEST_PIXELS, FURTHEST_PIXELS)
            out[:, COM_X] = np.clip(features["com_x"], -FURTHEST_PIXELS, FURTHEST_PIXELS)
            out[:, LOG_CONTRAST] = np.log(np.maximum(square_sum * self.n_pixels / intensity**2, SMALLEST))
            out[:, LOG_FINE] = np.log(np.maximum(2.0 - neighbour_sum / square_sum, SMALLEST))
            out[:, LOG_MAX] = np.log(np.maximum(max_counts / intensity, SMALLEST))
        out[:, ZERO_SHARE] = features["n_zero"] / self.n_pixels
        out[:, LOG_SATURATED] = np.log1p(np.ascontiguousarray(features["n_saturated"], np.float64))

    def _embed(self, first: int, logs: Floats) -> None:
        n_missing = self._warm_up_rows - first
        if n_missing > 0:
            self._first_logs = np.concatenate([self._first_logs.reshape(-1, logs.shape[1]), logs[:n_missing]])
            if len(self._first_logs) == self._warm_up_rows:
                self._basis = Basis.of(self._first_logs, self._pca_k)
                self._project(self._basis, 0, self._first_logs)
                first, logs = self._warm_up_rows, logs[n_missing:]
        basis = self._basis or self._draft
        if basis is not None and len(logs):
            self._project(basis, first, logs)

    def _project(self, basis: Basis, first: int, logs: Floats) -> None:
        at = first - self.first
        out = self._columns["values"][at : at + len(logs), N_FEATURES:]
        coordinates, errors = basis.coordinates(logs)
        out[:, :-1] = coordinates
        out[:, -1] = np.log(np.maximum(errors, SMALLEST))


def _with_room(columns: dict[str, npt.NDArray[Any]], n: int) -> dict[str, npt.NDArray[Any]]:
    capacity = len(next(iter(columns.values())))
    if n <= capacity:
        return columns
    more = max(n, int(GROWTH * capacity), LEAST_ROOM) - capacity
    return {
        name: np.concatenate([column, np.zeros((more, *column.shape[1:]), column.dtype)])
        for name, column in columns.items()
    }

"""Numbers of each row for lists, table and maps, kept beside its verdict: a few, of a million rows as well."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.row import has_trusted_position

FIELDS = ("x_m", "y_m", "keep")
FEATURES = ("intensity", "n_saturated")


class RowNumbers:
    """Columns of all rows, filled in block by block."""

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows
        self._columns = {name: np.full(n_rows, np.nan) for name in (*FIELDS, *FEATURES)}
        self.is_trusted = np.zeros(n_rows, bool)
        """(n,) True for rows whose position is known, and not to be doubted."""
        self._n = 0

    def add(self, rows: np.ndarray[Any, Any]) -> slice:
        """Take the next rows; where they stand."""
        place = slice(self._n, self._n + len(rows))
        for name in FIELDS:
            self._columns[name][place] = rows[name]
        for name in FEATURES:
            self._columns[name][place] = rows["features"][name]
        self.is_trusted[place] = has_trusted_position(rows)
        self._n = place.stop
        return place

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        return self._columns[name]

    @property
    def has_position(self) -> npt.NDArray[np.bool_]:
        """True where the position of a row is known."""
        return np.isfinite(self["x_m"]) & np.isfinite(self["y_m"])

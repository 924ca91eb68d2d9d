"""Which rows repeat which, of all rows of a run at once: it does not depend on the order in which they were made.

Rows of before a kill, and of frames that were fetched, come behind those of later frames. So what a row was told when
it was made is told once more at the end, from all of them: the row of a position that was exposed last is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.core.growing import grown

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NOTED = np.dtype(
    [("ordinal", "i8"), ("x_m", "f8"), ("y_m", "f8"), ("keep", "?"), ("planned", "i8"), ("replaces", "i8")]
)
"""What is remembered of a row: place of its first frame, and its columns as they were made."""


class Settled(NamedTuple):
    """Of all rows (n,), by their places in the file."""

    planned: Ints
    replaces: Ints
    left_out: list[int]
    """Rows whose positions were exposed again."""
    n_elsewhere: int
    """Rows beyond the ones planned that repeat nothing."""


class NotedRows:
    """The rows of one run that may have repeats, in the order in which they were made."""

    def __init__(self) -> None:
        self._rows = np.zeros(0, NOTED)
        self._n = 0

    def note(self, rows: np.ndarray[Any, Any], first_ordinals: Ints) -> None:
        """Rows (n,) of `row_dtype` that were made now."""
        start, self._n = self._n, self._n + len(rows)
        self._rows = grown(self._rows, self._n)
        noted = self._rows[start : self._n]
        noted["ordinal"] = first_ordinals
        for name in NOTED.names[1:]:  # type: ignore[index]
            noted[name] = rows[name]

    def doubt(self, ordinals: Ints) -> None:
        """The rows of these frames are not to be used."""
        self._rows["keep"][np.isin(self._rows["ordinal"], ordinals)] = False

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """(n,) of `NOTED`."""
        return self._rows[: self._n]

    def are_trusted(self) -> Flags:
        """(n,) True for rows that could be used: those of before that were replaced, too."""
        rows = self.rows
        names = rows["replaces"] >= 0
        is_other = np.zeros(len(rows), np.bool_)
        is_other[names] = rows["ordinal"][rows["replaces"][names]] != rows["ordinal"][names]
        trusted = rows["keep"] | names
        trusted[rows["replaces"][is_other]] = True
        return trusted

    def settle(self, slots: Ints, is_usual: Flags, trusted: Flags, is_there: Callable[[int, int], bool]) -> Settled:
        """`slots` (n,) are what the rows were taken for, -1 for none; `is_usual` those that were planned so.

        `is_there` tells of a slot and a row whether it was taken there.
        """
        rows, n = self.rows, len(self.rows)
        is_at = is_usual.copy()
        extra = np.flatnonzero(~is_usual & (slots >= 0))
        is_at[extra] = [is_there(slot, row) for slot, row in zip(slots[extra].tolist(), extra.tolist(), strict=True)]
        _, first, of_ordinal = np.unique(rows["ordinal"], return_index=True, return_inverse=True)
        last = np.zeros(len(first), np.int64)
        last[of_ordinal] = np.arange(n)  # of rows of one frame, the one that was made last puts the others right
        is_last = np.zeros(n, np.bool_)
        is_last[last] = True
        chosen = np.flatnonzero(is_at & is_last & (is_usual | trusted))
        chosen = chosen[np.lexsort((rows["ordinal"][chosen], slots[chosen]))]
        follows = np.zeros(len(chosen), np.bool_)
        follows[1:] = slots[chosen[1:]] == slots[chosen[:-1]]
        replaces = rows["replaces"].copy()
        later = np.flatnonzero(follows)
        replaces[first[of_ordinal[chosen[later]]]] = chosen[later - 1]
        used = chosen[trusted[chosen]]
        is_repeated = np.zeros(len(used), np.bool_)
        is_repeated[:-1] = slots[used[:-1]] == slots[used[1:]]
        n_elsewhere = int(np.count_nonzero(~is_usual & ~is_at & is_last))
        return Settled(np.where(is_at, slots, -1), replaces, used[is_repeated].tolist(), n_elsewhere)

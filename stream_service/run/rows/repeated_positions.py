"""Repeats of positions, settled from all rows of a run at once, in whatever order these were made.

Rows of before a kill, and of frames that were fetched, come behind those of later frames. So what a row was told when
it was made is told once more at the end, from all of them: of the rows of a position that can be trusted then, the one
that was exposed last is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.core.growing import grown

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NOTED = np.dtype(
    [("ordinal", "i8"), ("is_trusted", "?"), ("x_m", "f8"), ("y_m", "f8"), ("planned", "i8"), ("replaces", "i8")]
)
"""What is remembered of a row: place of its first frame; whether it may be used; and its columns as they were made."""
AS_MADE = ("x_m", "y_m", "planned", "replaces")


class Settled(NamedTuple):
    """Of all rows (n,), by their places in the file."""

    planned: Ints
    replaces: Ints
    left_out: list[int]
    """Rows whose positions were exposed again."""
    used: list[int]
    """Those that were exposed last, of the trusted ones."""
    n_elsewhere: int
    """Rows beyond the ones planned that repeat nothing."""


class NotedRows:
    """The rows of one run that may have repeats, in the order in which they were made."""

    def __init__(self) -> None:
        self._rows = np.zeros(0, NOTED)
        self._n = 0

    def note(self, rows: np.ndarray[Any, Any], first_ordinals: Ints, *, are_from_before: bool = False) -> None:
        """Rows (n,) of `row_dtype` that were made now, or by an earlier service.

        One of before that is not used, and has no flag, was repeated: nothing else leaves such a row out.
        """
        start, self._n = self._n, self._n + len(rows)
        self._rows = grown(self._rows, self._n)
        noted = self._rows[start : self._n]
        noted["ordinal"] = first_ordinals
        noted["is_trusted"] = rows["keep"] != 0
        if are_from_before:
            noted["is_trusted"] |= (rows["flags"] == 0) & np.isfinite(rows["x_m"]) & np.isfinite(rows["y_m"])
        for name in AS_MADE:
            noted[name] = rows[name]

    def keep_first(self, n: int) -> None:
        """No others are in the file."""
        self._n = min(self._n, n)

    def doubt(self, places: Sequence[int]) -> None:
        """These rows, by their places in the file, are not to be used."""
        self._rows["is_trusted"][list(places)] = False

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """(n,) of `NOTED`."""
        return self._rows[: self._n]

    def settle(self, slots: Ints, is_usual: Flags, is_there: Callable[[int, int], bool]) -> Settled:
        """`slots` (n,) are what the rows were taken for, -1 for none; `is_usual` those that were planned so.

        `is_there` tells of a slot and a row whether it was taken there.
        """
        rows, n = self.rows, len(self.rows)
        trusted = rows["is_trusted"]
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
        replaces = np.where(self._are_put_right(), rows["replaces"], -1)
        later = np.flatnonzero(follows)
        replaces[first[of_ordinal[chosen[later]]]] = chosen[later - 1]
        used = chosen[trusted[chosen]]
        is_repeated = np.zeros(len(used), np.bool_)
        is_repeated[:-1] = slots[used[:-1]] == slots[used[1:]]
        n_elsewhere = int(np.count_nonzero(~is_usual & ~is_at & is_last))
        left_out, used = used[is_repeated], used[~is_repeated]
        return Settled(np.where(is_at, slots, -1), replaces, left_out.tolist(), used.tolist(), n_elsewhere)

    def _are_put_right(self) -> Flags:
        """(n,) True for rows that replace one of the same exposure."""
        rows = self.rows
        return (rows["replaces"] >= 0) & (rows["ordinal"][rows["replaces"]] == rows["ordinal"])

"""Rows whose exposures left before their readbacks were known, kept so that they can be put right."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import without_pixels
from stream_service.run.rows.exposure_columns import ExposureColumns


@dataclass(frozen=True, slots=True)
class UnsureRow:
    """One row, by its place in the file."""

    row: int
    ordinals: tuple[int, ...]
    """Of all its frames."""
    kept: tuple[Exposure, ...]
    """Those of which it tells, without pixels."""
    flags: int
    """Of the row beside those of its exposures."""


class UnsureRows:
    """Those of one run; there are no more of them than frames that the pairer remembers."""

    def __init__(self) -> None:
        self._rows: list[UnsureRow] = []

    def note(
        self,
        first_row: int,
        exposures: ExposureColumns,
        kept: ExposureColumns,
        flags: Sequence[int],
        is_unsure: Callable[[int], bool],
    ) -> None:
        """Remember those of the rows from `first_row` on of which a frame is unsure."""
        for n, group in enumerate(kept.groups):
            if any(exposure.flags and is_unsure(exposure.ordinal) for exposure in group):
                stripped = tuple(replace(exposure, frame=without_pixels(exposure.frame)) for exposure in group)
                ordinals = tuple(exposure.ordinal for exposure in exposures.groups[n])
                self._rows.append(UnsureRow(first_row + n, ordinals, stripped, flags[n]))

    def restore(self, row: int, ordinals: tuple[int, ...], kept: tuple[Exposure, ...], flags: int) -> None:
        """Remember a row that an earlier service has written; `flags` as those of `UnsureRow`."""
        self._rows.append(UnsureRow(row, ordinals, kept, flags))

    def forget(self, rows: Sequence[int]) -> None:
        """These rows, by their places in the file, have been replaced."""
        if self._rows:
            self._rows = [row for row in self._rows if row.row not in rows]

    def known(self, exposures: Iterable[Exposure]) -> list[UnsureRow]:
        """The rows whose positions can be trusted with these exposures, which hold them then, and tell more of them."""
        found: Mapping[int, Exposure] = {exposure.ordinal: exposure for exposure in exposures}
        known = []
        for row in self._rows:
            kept = tuple(found.get(exposure.ordinal, exposure) for exposure in row.kept)
            is_trusted = not row.flags and not any(exposure.position_flags for exposure in kept)
            if is_trusted and any(map(_tells_more, kept, row.kept)):
                known.append(replace(row, kept=kept))
        return known


def _tells_more(now: Exposure, before: Exposure) -> bool:
    is_new = any(math.isnan(before.values[name]) and not math.isnan(value) for name, value in now.values.items())
    return is_new or (now.flags != before.flags and not now.flags & Flag.UNMATCHED)

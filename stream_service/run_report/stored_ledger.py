"""The account of a run's frames as its file has it: counts, and the ids of frames that are not in it, as ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from stream_service.core.frame_status import FrameStatus
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import EARLIER_COUNTS, LEDGER_COUNTS
from stream_service.text.counted import counted

MOST_RANGES = 40
"""Named of each kind; the file has them all."""
NAMED = {
    "backfilled": FrameStatus.BACKFILLED,
    "lost": FrameStatus.LOST,
    "incomplete": FrameStatus.INCOMPLETE,
    "not_exposed": FrameStatus.NOT_EXPOSED,
}
"""Counts of which the ids are named."""
BLOCK_ROWS = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredLedger:
    """Counts by their names in the file, and ranges of ids by the names of `NAMED`, in words."""

    counts: Mapping[str, int]
    """Those that the file has."""
    ids: Mapping[str, str]

    @property
    def in_file(self) -> int:
        """Frames in rows."""
        return self.counts.get("stored", 0) + self.counts.get("backfilled", 0)

    @property
    def missing(self) -> int:
        """Frames that were exposed and are in no row."""
        return self.counts.get("lost", 0) + self.counts.get("incomplete", 0)

    @classmethod
    def read(cls, tree: Hdf5Tree) -> Self:
        """That of a file. Raises `SourceError`."""
        counts = {}
        for name in LEDGER_COUNTS:
            found = tree.first(f"{paths.LEDGER}/{name}", f"{paths.LEDGER}/{EARLIER_COUNTS.get(name, name)}")
            if found is not None and found.dtype.kind in "iu" and found.shape in ((), (1,)):
                counts[name] = int(found.whole().reshape(-1)[0])
        return cls(counts, _named_ids(tree))


def _named_ids(tree: Hdf5Tree) -> dict[str, str]:
    columns = [tree.find(f"{paths.LEDGER}/{name}") for name in ("epoch", "unique_id", "status")]
    known = [column for column in columns if column is not None and column.is_numeric and len(column.shape) == 1]
    if len(known) < len(columns):
        return {}
    n = min(column.rows for column in known)
    found: dict[str, list[npt.NDArray[np.int64]]] = {name: [] for name in NAMED}
    for start in range(0, n, BLOCK_ROWS):
        epochs, ids, statuses = (column.read(start, min(start + BLOCK_ROWS, n)) for column in known)
        for name, status in NAMED.items():
            at = statuses == status
            found[name].append(np.stack([epochs[at], ids[at]]).astype(np.int64))
    return {name: said for name, parts in found.items() if parts and (said := ranges(np.concatenate(parts, axis=1)))}


def ranges(frames: npt.NDArray[np.int64]) -> str:
    """Frames (2, n), epoch and id in their order, as ranges: `1, 7-9, 100`; those of later epochs as `epoch:id`."""
    epochs, ids = frames
    if not len(ids):
        return ""
    breaks = np.flatnonzero((np.diff(ids) != 1) | (np.diff(epochs) != 0)) + 1
    firsts, lasts = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(ids)]]) - 1
    said = []
    for first, last in zip(firsts[:MOST_RANGES].tolist(), lasts[:MOST_RANGES].tolist(), strict=True):
        epoch = f"{epochs[first]}:" if epochs[first] else ""
        said.append(f"{epoch}{ids[first]}" + (f"-{ids[last]}" if last != first else ""))
    if len(firsts) > MOST_RANGES:
        said.append(f"and {counted(len(firsts) - MOST_RANGES, 'more range')}")
    return ", ".join(said)

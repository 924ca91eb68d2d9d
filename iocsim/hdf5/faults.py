"""Faults of HDF1 on command: frames that it drops, refuses or fails to write, and an old file in the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from iocsim.detector.ndarray import NDArray
from iocsim.fault_values import n_frames
from iocsim.faults import sets
from iocsim.pv import PvTable, Text
from iocsim.unique_ids import parse_ids

DAY_NS = 24 * 3600 * 1_000_000_000
OLD_PERIOD_NS = 20_000_000
"""Between two frames of the old file."""


@dataclass(frozen=True, slots=True)
class Hdf5Faults:
    """Faults of the file writer; ids are uniqueIds."""

    drop_ids: frozenset[int] = frozenset()
    """Frames that find the input queue full: `DroppedArrays` counts them."""
    refuse_ids: frozenset[int] = frozenset()
    """Frames that are not written: WriteStatus says so until the next frame."""
    fail_ids: frozenset[int] = frozenset()
    """The disk fails (or is full) at these frames: the capture is over, and no file can be opened by one of them."""
    old_frames: int = 0
    """Frames, from uniqueId 1 on, of a file of yesterday that lies where the next one goes; 0: none is put there."""


class Hdf5FaultPvs:
    """`Sim:Hdf1DropIds`, `Sim:Hdf1RefuseIds`, `Sim:Hdf1FailIds` (`1,7,100-104`) and `Sim:Hdf1OldFile`."""

    def __init__(self, table: PvTable) -> None:
        self.now = Hdf5Faults()
        """The faults in force; replaced as a whole, so any thread may read it."""
        for name in ("drop", "refuse", "fail"):
            table.pair(f"Hdf1{name.title()}Ids", Text(length=65536), on_put=sets(self, f"{name}_ids", parse_ids))
        table.pair("Hdf1OldFile", 0, on_put=sets(self, "old_frames", n_frames))


def old_frame(like: NDArray, unique_id: int) -> NDArray:
    """A frame of yesterday, with other pixels and the attributes of one of today."""
    pixels = np.full_like(like.pixels, unique_id % 100)
    timestamp_ns = time.time_ns() - DAY_NS + unique_id * OLD_PERIOD_NS
    return replace(like, pixels=pixels, unique_id=unique_id, timestamp_ns=timestamp_ns, compressed=None)

"""Frames that the network is made to lose, to deliver twice, damaged, late, wrongly named or out of order, on purpose.

Only what goes over the network is faulty, by whichever transport: HDF1 gets every frame, as on a beamline where the
file writer sits beside the detector.
Whether a frame is hit depends on the seed and its uniqueId alone, so a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from iocsim.delays import Delays
from iocsim.fault_values import clock_error_s, fraction, n_frames
from iocsim.pv import PutHook, PvTable, Text
from iocsim.unique_ids import chance, parse_ids

FAR_AHEAD = 4_000_000
"""As one wrong bit does: beyond every frame of a long run."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Frames that are not posted, and frames that are posted twice; a frame that is in both is not posted."""

    seed: int = 0
    drop_fraction: float = 0.0
    duplicate_fraction: float = 0.0
    drop_ids: frozenset[int] = field(default_factory=frozenset)
    duplicate_ids: frozenset[int] = field(default_factory=frozenset)
    far_ids: frozenset[int] = field(default_factory=frozenset)
    """Frames that are posted with a uniqueId far ahead of their own."""
    corrupt_ids: frozenset[int] = field(default_factory=frozenset)
    """Frames whose payload is garbage."""
    truncated_ids: frozenset[int] = field(default_factory=frozenset)
    """Frames of which half the payload is sent."""
    delays: Delays = field(default_factory=Delays)
    """Frames that leave late."""
    reorder: int = 0
    """Frames leave shuffled among so many; below 2: in their order."""
    copy_stamp_s: float = 0.0
    """The second of two has a stamp that is off by so much."""

    def copies(self, unique_id: int) -> int:
        """Number of times the frame is posted: 0, 1 or 2."""
        if unique_id in self.drop_ids or chance(self.seed, unique_id, salt=1) < self.drop_fraction:
            return 0
        if unique_id in self.duplicate_ids or chance(self.seed, unique_id, salt=2) < self.duplicate_fraction:
            return 2
        return 1

    def sent_id(self, unique_id: int) -> int:
        """The uniqueId under which the frame is posted."""
        return unique_id + FAR_AHEAD if unique_id in self.far_ids else unique_id

    def place(self, unique_id: int) -> float:
        """Of a frame among those it is shuffled with: they leave by rising place."""
        return chance(self.seed, unique_id, salt=3)


class FaultPvs:
    """`Sim:DropFraction`, `Sim:DuplicateFraction`, `Sim:Reorder`; ids as `1,7,100-104`: `Sim:DropIds`,
    `Sim:DuplicateIds`, `Sim:FarIds`, `Sim:CorruptIds`, `Sim:TruncatedIds`; `Sim:CopyStamp` in s; `Sim:Delay` as
    `20@100-104,1.5s@7`."""

    def __init__(self, table: PvTable, faults: Faults) -> None:
        self.now = faults
        """The faults in force; replaced as a whole, so any thread may read it."""
        for name in ("drop", "duplicate"):
            field = f"{name}_fraction"
            table.pair(f"{name.title()}Fraction", getattr(faults, field), on_put=sets(self, field, fraction))
        for name in ("drop", "duplicate", "far", "corrupt", "truncated"):
            ids = f"{name}_ids"
            table.pair(f"{name.title()}Ids", ids_text(getattr(faults, ids)), on_put=sets(self, ids, parse_ids))
        table.pair("CopyStamp", faults.copy_stamp_s, units="s", on_put=sets(self, "copy_stamp_s", clock_error_s))
        table.pair("Delay", Text(length=4096), on_put=sets(self, "delays", Delays.parse))
        table.pair("Reorder", faults.reorder, on_put=sets(self, "reorder", n_frames))


def sets(faulty: Any, field: str, read: Callable[[Any], Any] = lambda value: value) -> PutHook:
    """A hook that replaces a field of `faulty.now` by what `read` makes of a client's value; a text is kept as put."""

    async def put(value: Any) -> Any:
        taken = read(value)
        faulty.now = replace(faulty.now, **{field: taken})
        return value if isinstance(value, str) else taken

    return put


def ids_text(ids: frozenset[int]) -> Text:
    """The ids as `parse_ids` reads them."""
    return Text(",".join(str(unique_id) for unique_id in sorted(ids)), length=65536)

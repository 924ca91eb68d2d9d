"""Interruptions of the detector: events before a frame, and a series that ends early by itself."""

from __future__ import annotations

from collections.abc import Sequence

from iocsim.moments import Moments
from iocsim.pv import PvTable, Text
from iocsim.unique_ids import parse_ids


class Interruptions:
    """`Sim:StopIds`: after one of these uniqueIds the detector goes idle, whatever was asked for; and all moments."""

    def __init__(self, table: PvTable, moments: Sequence[Moments] = ()) -> None:
        """`moments` in the order in which those of one frame come."""
        self._moments = tuple(moments)
        self._stop_ids: frozenset[int] = frozenset()
        table.pair("StopIds", Text(length=65536), on_put=self._put_stop_ids)

    def before(self, unique_id: int) -> None:
        """Let happen what is to happen before this frame; in the driver's thread."""
        for moments in self._moments:
            moments.before(unique_id)

    def stops_after(self, unique_id: int) -> bool:
        """The detector goes idle after this frame."""
        return unique_id in self._stop_ids

    async def _put_stop_ids(self, text: str) -> str:
        self._stop_ids = parse_ids(text)
        return text

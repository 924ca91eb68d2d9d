"""The part of the simulated beamline that is the detector's IOC, which can be restarted: detector, plugins, senders.

A restart is what a reboot is: its PVs are as just after a start, plugins are disabled, the counter begins anew in the
next epoch, an open file stays as it was on the disk. Stage, energy and shutter are where they are, the faults and the
truth stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iocsim.detector.acquisition import FrameCounter
from iocsim.detector.detector import Detector
from iocsim.outputs import Outputs
from iocsim.pv import PvTable


@dataclass(frozen=True, slots=True)
class DetectorIoc:
    """Detector and outputs as one start made them."""

    outputs: Outputs
    detector: Detector


class RestartingIoc:
    """The detector's IOC as it is at present."""

    def __init__(self, table: PvTable, counter: FrameCounter, make: Callable[[], DetectorIoc]) -> None:
        """`make` adds the PVs of a start to the table, which holds all others already."""
        self._pvs = table.pvs
        self._others = frozenset(table.pvs)
        self._counter = counter
        self._make = make
        self.now = make()

    async def die(self) -> None:
        """End at once; its PVs are gone."""
        await self.now.detector.stop()
        await self.now.outputs.abandon()
        for name in self._pvs.keys() - self._others:
            del self._pvs[name]

    def start(self) -> None:
        """Begin anew."""
        self._counter.restart()
        self.now = self._make()

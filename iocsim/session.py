"""The simulator's own PVs, `Sim:`: what was sent, what was lost on purpose, and the truth on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from iocsim.delivery import Delivery
from iocsim.pv import Choice, PvTable, Text
from iocsim.truth import Truth


class Session:
    """`Sim:TruthFile`, `Sim:SaveTruth` (put 1, back to 0 when written), and the counts of frames."""

    def __init__(
        self, table: PvTable, truth: Truth, truth_file: Path | None, deliveries: Callable[[], list[Delivery]]
    ) -> None:
        """`deliveries` gives the ways that frames are sent at present."""
        self._truth = truth
        self._deliveries = deliveries
        path = "" if truth_file is None else str(truth_file)
        self._truth_file = table.pair("TruthFile", Text(path, length=1024))
        self._save = table.setpoint("SaveTruth", Choice(("Done", "Save")))
        self._save.on_put = self._put_save
        self._message = table.readback("Message", Text(length=512))
        self._sent = table.readback("FramesSent_RBV", 0)
        self._dropped = table.readback("FramesDropped_RBV", 0)
        self._duplicated = table.readback("FramesDuplicated_RBV", 0)

    async def refresh(self) -> None:
        """Show the counts since the start of the IOC."""
        deliveries = self._deliveries()
        await self._sent.follow(max(delivery.n_sent for delivery in deliveries))
        await self._dropped.follow(max(delivery.n_dropped for delivery in deliveries))
        await self._duplicated.follow(max(delivery.n_duplicated for delivery in deliveries))

    def save_truth(self) -> Path | None:
        """Write the truth where `TruthFile` says; None if it says nothing. Raises OSError."""
        name = self._truth_file.value
        if not name:
            return None
        path = Path(name)
        self._truth.save(path)
        return path

    async def _put_save(self, value: str) -> str:
        if value == "Save":
            await self._save.post("Save")
            try:
                path = await asyncio.to_thread(self.save_truth)
            except OSError as error:
                await self._message.post(f"The truth could not be written: {error}")
            else:
                await self._message.post(
                    f"{len(self._truth)} frames written to {path}" if path else "TruthFile is empty"
                )
        return "Done"

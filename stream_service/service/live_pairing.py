"""Live frames meet their readbacks: the pure pairer, fed from Channel Access, and the questions that let it go on.

A frame that waits makes the readback source prove that no update is on its way; one that waits longer than the
profile's patience is let go, with its row flagged, so that a dead PV cannot hold up a scan.
"""

from __future__ import annotations

import logging

from stream_service.config import Profile
from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame
from stream_service.core.ledger import Receipt
from stream_service.core.pairing import Pairer
from stream_service.core.readback import Readback
from stream_service.sources.ca_readbacks import CaReadbacks, Confirmation, Disconnection

log = logging.getLogger(__name__)

ASK_S = 0.01
"""Shortest time between two questions whether the readbacks are complete."""


class LivePairing:
    """Frames in, exposures out, in order."""

    def __init__(self, profile: Profile, readbacks: CaReadbacks) -> None:
        self._readbacks = readbacks
        self._pairer = Pairer(profile.rules())
        self._frame_time = profile.detector.frame_time.to_core()
        self._patience_s = profile.service.pairing_patience_s
        self._last_arrival_s = self._last_progress_s = self._last_asked_s = 0.0

    def __len__(self) -> int:
        """Frames that wait."""
        return len(self._pairer)

    @property
    def waiting_bytes(self) -> int:
        return self._pairer.waiting_bytes

    def add(self, frame: Frame, receipt: Receipt, exposure_s: float, now_s: float) -> None:
        """Take a frame that the ledger calls new and that arrived just now."""
        if not self._pairer:
            self._last_progress_s = now_s
        self._last_arrival_s = now_s
        window = self._frame_time.window(frame.timestamp_ns, exposure_s)
        self._pairer.add_frame(frame, receipt.id, receipt.ordinal, exposure_s, window)

    def take_readbacks(self) -> list[Readback]:
        """Enter what the channels did since the last call; the updates, to be recorded."""
        updates = []
        for event in self._readbacks.take():
            if isinstance(event, Confirmation):
                self._pairer.confirm(event.channel, event.until_ns)
            elif isinstance(event, Disconnection):
                log.warning("the PV of channel %s is gone", event.channel)
                self._pairer.disconnect(event.channel)
            else:
                self._pairer.add_readback(event)
                updates.append(event)
        return updates

    def ready(self, now_s: float) -> list[Exposure]:
        """The frames whose readbacks are known, or that have waited too long; asks after those that still wait."""
        ready = self._pairer.take()
        if ready:
            self._last_progress_s = now_s
        elif self._pairer and now_s - self._last_progress_s > self._patience_s:
            log.warning("%d frames waited too long for their readbacks; their rows are flagged", len(self._pairer))
            ready = self._pairer.give_up()
        window = self._pairer.newest_window
        if window is not None and now_s - self._last_asked_s >= ASK_S:
            self._readbacks.ask(window.end_ns, self._last_arrival_s)
            self._last_asked_s = now_s
        return ready

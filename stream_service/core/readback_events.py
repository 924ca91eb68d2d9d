"""Events of the readbacks: an update, a watermark ("complete until t"), a channel that is gone.

Each channel's own events come in order. They know nothing of where they come from: Channel Access or a recording.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_service.core.pairing.history import Readback


@dataclass(frozen=True, slots=True)
class Watermark:
    """Every update of `channel` stamped at or before `until_ns` has been delivered."""

    channel: str
    until_ns: int
    is_end: bool = False
    """True at the end of a recording: nothing is known of the channel after it."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The PV behind `channel` is disconnected; the first update after it is marked `is_after_gap`."""

    channel: str


ReadbackEvent = Readback | Watermark | Gone

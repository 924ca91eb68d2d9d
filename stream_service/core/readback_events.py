"""Events of the readbacks: an update, a watermark ("complete until t"), the end of a record, a channel that is gone.

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


@dataclass(frozen=True, slots=True)
class Ends:
    """The record of `channel` ends at `at_ns`: nothing is known after it. Told before its first update."""

    channel: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The PV behind `channel` is disconnected; the first update after it is marked `is_after_gap`."""

    channel: str


ReadbackEvent = Readback | Watermark | Ends | Gone

"""Sources of a live run, whoever provides them: the beamline (`LiveSources`) or a recording (`ReplaySources`)."""

from __future__ import annotations

from typing import Any, Protocol

from stream_service.cancellation import Cancellation
from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.core.readback_events import ReadbackEvent
from stream_service.settings.request import ScanRequest
from stream_service.sources.frame_queue import FrameQueue


class FrameSource(Protocol):
    """A subscription to frames."""

    queue: FrameQueue[Any]
    """Messages as they came; `Sources.decode` makes frames of them."""

    def close(self) -> None: ...


class ReadbackSource(Protocol):
    """The channels of a profile."""

    def take(self) -> list[ReadbackEvent]:
        """Events since the last call."""
        ...

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        """Ask for the proof that no update is on its way that a frame needs; it comes with a later `take`."""
        ...

    def latest(self, channel: str) -> float | None:
        """The value of a channel now, in its own unit; None if there is none."""
        ...


class DetectorSource(Protocol):
    """The detector's own state."""

    @property
    def is_acquiring(self) -> bool: ...

    @property
    def exposure_s(self) -> float: ...

    def counter(self) -> int:
        """The uniqueId of the latest frame the detector made."""
        ...


class Sources(Protocol):
    """The sources of one run; see `LiveSources` for what each method promises."""

    budget_bytes: int

    @property
    def frames(self) -> FrameSource: ...

    @property
    def readbacks(self) -> ReadbackSource: ...

    @property
    def detector(self) -> DetectorSource: ...

    def connect(self, cancellation: Cancellation) -> None: ...

    def attach_thread(self) -> None: ...

    def latest_frame(self) -> Frame | None: ...

    def decode(self, message: Any) -> Frame: ...

    def doubts(self) -> list[str]:
        """Doubts about the clocks or the NDAttributes of the run to come, in sentences."""
        ...

    def silent(self) -> list[str]:
        """The PVs and channels that do not answer now."""
        ...

    @property
    def detector_answers(self) -> bool: ...

    @property
    def stream_problem(self) -> str:
        """Reason why no frame can come, as far as the detector's switches tell; empty if they are as they must be."""
        ...

    @property
    def stream_detour(self) -> str:
        """Plugin between the detector and its frames' channel; empty if there is none, or nobody tells."""
        ...

    def open_ledger(self, request: ScanRequest) -> Ledger: ...

    def close(self) -> None: ...

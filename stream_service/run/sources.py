"""Sources of a run, whoever provides them: the beamline (`LiveSources`) or a recording (`RecordedSources`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream_service.cancellation import Cancellation
from stream_service.core.frame import Frame
from stream_service.core.stream import Begin, ReadbackEvent, StreamEvent
from stream_service.sources.hdf5.raw_messages import RawAnswer


class Messages(Protocol):
    """The messages of a source that wait for the run, bounded in bytes."""

    @property
    def held_bytes(self) -> int:
        """Of those that are known to wait."""
        ...

    def __len__(self) -> int: ...

    def take(self, timeout_s: float) -> Sequence[Any]:
        """Some of them, in order; waits up to `timeout_s` for the first one."""
        ...

    def wake(self) -> None:
        """End a `take` that waits, with nothing."""
        ...


class FrameSource(Protocol):
    """A stream of frames, whatever brings them."""

    channel: str
    """Its name, for messages."""
    transport: str
    """What brings the frames, for messages: `PVA`."""

    @property
    def queue(self) -> Messages:
        """Messages as they came."""
        ...

    @property
    def is_connected(self) -> bool:
        """False while no frame can come."""
        ...

    def start(self, cancellation: Cancellation | None = None) -> None:
        """Let messages come. Raises `SourceError` when nothing answers, and `CancelledError`."""
        ...

    def begin(self) -> Begin:
        """What the source knows of the series that begins now; what came until now is from before it."""
        ...

    def latest_frame(self) -> Frame | None:
        """The last frame from before the series, with all that came with it; None if there is none, or nobody knows.

        Raises `SourceError` if it cannot be decoded.
        """
        ...

    def decode(self, message: Any) -> StreamEvent | None:
        """The event in a message of the queue; None if it says nothing that a run must know. Raises `SourceError` if
        the message cannot be read."""
        ...

    def close(self) -> None:
        """Let nothing more in; what is in the queue can still be taken."""
        ...


class ReadbackSource(Protocol):
    """The channels of a run."""

    def take(self) -> list[ReadbackEvent]:
        """Events since the last call; where they are many, some, so that it is called until there are none."""
        ...

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        """Ask for the proof that no update is on its way that a frame needs; it comes with a later `take`."""
        ...

    def go_on(self) -> bool:
        """Let a record go on by an update of each channel, for frames that still wait; False if none is left, or if
        updates come by themselves."""
        ...

    def finish(self) -> None:
        """No frame comes any more: what is left of a record comes with the next `take`."""
        ...

    def notes(self) -> list[str]:
        """What is wrong with where they come from, in sentences."""
        ...


class DetectorSource(Protocol):
    """The detector's own state."""

    @property
    def is_acquiring(self) -> bool:
        """True while more frames may be made: such a detector is not done, however quiet it is."""
        ...

    def counter(self) -> int:
        """The uniqueId of the latest frame the detector made. Raises `SourceError` if it does not answer."""
        ...


class RawFrames(Protocol):
    """The raw files, in which frames are found by uniqueId (`RawFiles`)."""

    @property
    def path(self) -> Path:
        """The one that is looked into."""
        ...

    @property
    def is_asked(self) -> bool:
        """True while an answer is awaited."""
        ...

    def ask(
        self,
        wanted: npt.NDArray[np.int64],
        held_ids: npt.NDArray[np.int64],
        held_ns: npt.NDArray[np.int64],
        let_go_ids: npt.NDArray[np.int64],
        let_go_ns: npt.NDArray[np.int64],
    ) -> None:
        """Ask for frames of these ids that are not held; those that came and were let go show whose the file is."""
        ...

    def take(self, timeout_s: float) -> list[Frame | RawAnswer]:
        """What has come of the answer; `RawAnswer` ends it."""
        ...

    def close(self) -> None:
        """Ask no more."""
        ...


class Sources(Protocol):
    """The sources of one run, and of no other."""

    budget_bytes: int
    """For the frames that wait for their readbacks."""

    @property
    def frames(self) -> FrameSource: ...

    @property
    def readbacks(self) -> ReadbackSource: ...

    @property
    def detector(self) -> DetectorSource: ...

    def connect(self, cancellation: Cancellation) -> None:
        """See that everything answers, and listen from now on. Raises `SourceError` naming what does not answer,
        `ConfigError` where its frames could not be told from those of the run, and `CancelledError`.
        """
        ...

    def begin(self) -> Begin:
        """Facts of the series that begins now, once all is connected; its first id is one of them."""
        ...

    def attach_thread(self) -> None:
        """Called first in the thread that works on the run."""
        ...

    def doubts(self) -> list[str]:
        """Doubts about the clocks or the NDAttributes of the run to come, in sentences."""
        ...

    def silent(self) -> list[str]:
        """The PVs and channels that do not answer now."""
        ...

    @property
    def detector_answers(self) -> bool:
        """False while no frame can come."""
        ...

    @property
    def stream_problem(self) -> str:
        """Reason why no frame can come, as far as the detector's switches tell; empty if they are as they must be."""
        ...

    def missing_problem(self, n_missing: int, *, is_first: bool) -> str:
        """What to say of frames that the detector has made and that did not come, in a sentence; `is_first` if none
        has come yet."""
        ...

    def close(self) -> None:
        """Listen no more; may be called more than once."""
        ...

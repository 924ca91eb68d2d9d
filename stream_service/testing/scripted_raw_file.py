"""A raw file that a script fills: what a run fetches lost frames from, without HDF5 or a process beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import Frame
from stream_service.sources.hdf5.raw_file import NONE
from stream_service.sources.hdf5.raw_messages import RawAnswer, RawState


@dataclass
class ScriptedRawFile:
    """It answers with the frames it has now, one with each `take`, so that nothing depends on how many come at once."""

    frames: list[Frame]
    """All that it has, in its order; those with a wanted id and a stamp that is not held are given, if any is among
    those that came."""
    state: RawState = RawState.CLOSED
    sentence: str = ""
    """That of each answer."""
    on_ask: Callable[[int], None] = lambda n: None
    """Called with the number of each question, from 1, before it is answered: the file may grow then."""
    path: Path = Path("/data/scan_raw.h5")
    asked: list[list[int]] = field(default_factory=list)
    """The wanted ids of each question."""
    is_closed: bool = False
    is_asked: bool = False
    _answer: list[Frame | RawAnswer] = field(default_factory=list)

    def ask(
        self,
        wanted: npt.NDArray[np.int64],
        held_ids: npt.NDArray[np.int64],
        held_ns: npt.NDArray[np.int64],
        let_go_ids: npt.NDArray[np.int64] = NONE,
        let_go_ns: npt.NDArray[np.int64] = NONE,
    ) -> None:
        """See `RawFrames`."""
        assert not self.is_asked and not self.is_closed
        self.is_asked = True
        self.asked.append(wanted.tolist())
        self.on_ask(len(self.asked))
        held = set(zip(held_ids.tolist(), held_ns.tolist(), strict=True))
        came = held | set(zip(let_go_ids.tolist(), let_go_ns.tolist(), strict=True))
        n_agree = sum((frame.unique_id, frame.timestamp_ns) in came for frame in self.frames)
        is_used = self.state in (RawState.CLOSED, RawState.GROWING) and n_agree > 0
        found: Iterable[Frame] = (
            frame
            for frame in self.frames
            if is_used and frame.unique_id in self.asked[-1] and (frame.unique_id, frame.timestamp_ns) not in held
        )
        state = RawState.OTHER_SCAN if self.state is RawState.CLOSED and not is_used else self.state
        answer = RawAnswer(state, len(self.frames), n_agree, n_agree, sentence=self.sentence)
        self._answer = [*found, answer]

    def take(self, timeout_s: float) -> list[Frame | RawAnswer]:
        """See `RawFrames`."""
        taken = self._answer.pop(0)
        self.is_asked = bool(self._answer)
        return [taken]

    def close(self) -> None:
        """See `RawFrames`."""
        self.is_closed = True

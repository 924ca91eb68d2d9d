"""The past of a run that goes on after its service was killed: its journal, and the rows of its interrupted files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stream_service.core.epoch import Epoch, Reached
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.hardware_array import Held
from stream_service.core.pairing.readback import Readback, Unheard
from stream_service.core.partition import NO_FRAME
from stream_service.core.run import EndReason
from stream_service.run.rows.interrupted_rows import InterruptedFile, InterruptedRows
from stream_service.run.rows.pixel_reduction import KnownPixels
from stream_service.run.rows.sink import Sink
from stream_service.run.run_file import RunFile

Scalar = TypeVar("Scalar", np.int32, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What a run brings along."""

    reopen: Callable[[Ledger, Iterable[Sink]], RunFile] | None = None
    """Makes the file in which it goes on; None if it had no frame: then the first one makes it."""
    pixels: KnownPixels | None = None
    """None if they were not known yet: then there are no rows."""
    armed_ago_s: float = 0.0
    """Since the run was armed first."""
    epochs: tuple[Epoch, ...] = ()
    """Empty if none has begun but the first."""
    n_announced: int = 0
    reached: Reached | None = None
    """How far frames had come when the service was killed; None if nobody has written it."""
    repeats: tuple[int, ...] = ()
    end_reason: EndReason | None = None
    """Why it had begun to end; None if it had not."""
    n_exposed: int | None = None
    """Frames that had been made by then."""
    arrays_before: Mapping[str, Held] = field(default_factory=dict)
    """What hardware-captured arrays held before the run, by channel; where it is not told, that is what they hold."""
    interrupted: tuple[InterruptedFile, ...] = ()
    """Its files, the oldest one first."""
    reader: Executor | None = None
    """The thread that has opened them, and reads them: they are not thread-safe."""
    readbacks: tuple[Readback, ...] = ()
    """Their record of the channels, each in its own order."""
    unheard: tuple[Unheard, ...] = ()
    """Of which that record does not tell."""
    notes: tuple[str, ...] = ()
    """What is to be said, in sentences."""

    @property
    def is_any(self) -> bool:
        """True of a run whose service was killed."""
        return bool(self.notes)

    def close(self) -> None:
        """Let go of the interrupted files."""
        InterruptedRows(self.interrupted, (), self.reader).close()

    def restore(self, ledger: Ledger) -> InterruptedRows:
        """Enter into a new ledger what has come; the rows that are to follow."""
        frames = self._all("epoch", np.int32), self._all("unique_id", np.int64), self._all("timestamp_ns", np.int64)
        ordinals = ledger.restore(
            self.epochs or ledger.epochs.since(), self.n_announced, frames, self.reached, self.n_exposed
        )
        for name in ("duplicates", "unexpected"):
            ledger.counts.before[name] = max((file.counts.get(name, 0) for file in self.interrupted), default=0)
        places, end = [], 0
        for file in self.interrupted:
            shape = file.rows["epoch"].shape
            start, end = end, end + math.prod(shape)
            is_frame = file.rows["epoch"] >= 0
            places.append(np.where(is_frame, ordinals[start:end].reshape(shape), NO_FRAME))
        return InterruptedRows(self.interrupted, places, self.reader)

    def _all(self, name: str, dtype: type[Scalar]) -> npt.NDArray[Scalar]:
        """Of all frames of all rows, one after another."""
        return np.concatenate([np.zeros(0, dtype), *(file.rows[name].ravel() for file in self.interrupted)])


def merged_readbacks(files: Sequence[InterruptedFile], allowed: frozenset[str] | None = None) -> tuple[Readback, ...]:
    """The record of channels that interrupted files have between them: a later one repeats what an earlier one told."""
    merged: dict[str, dict[tuple[int, float], None]] = {}
    for file in files:
        for channel, (values, stamps_ns) in file.readbacks.items():
            if allowed is None or channel in allowed:
                entries = zip(stamps_ns.tolist(), values.tolist(), strict=True)
                merged.setdefault(channel, {}).update(dict.fromkeys(entries))
    return tuple(
        Readback(channel, value, stamp_ns) for channel, entries in merged.items() for stamp_ns, value in entries
    )

"""The journal of a run: what its service must know of it to go on after a crash, on disk before it is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream_service.core.epoch import Epoch, Reached
from stream_service.core.pairing.hardware_array import Held
from stream_service.core.pairing.readback import Unheard
from stream_service.core.run import EndReason
from stream_service.core.stream import Begin
from stream_service.settings.service_status import RunStatus


@dataclass(frozen=True, slots=True)
class FileBegin:
    """Facts with which the file of a run was made."""

    raw_shape: tuple[int, int]
    dtype: np.dtype[Any]
    """Of a frame of the detector."""
    energy_eV: float
    exposure_s: float
    """Of the first frame; NaN where they are not known."""
    start_timestamp_ns: int


class RunJournal(Protocol):
    """That of one run. What it cannot write once the run goes on costs the run nothing but its resumption."""

    problem: str
    """Why the run could not be resumed any more, in a sentence; empty if it could."""

    def armed(self, begin: Begin) -> None:
        """The run is armed. Raises `WriteError`: it could not be resumed."""
        ...

    def disarmed(self) -> None:
        """The armed run is not started: a new one is forgotten, one that was to go on is left to the next start."""
        ...

    def numbered(self, number: int) -> None:
        """The run has its number in the service."""
        ...

    def began(self, begin: FileBegin) -> None:
        """Its file is made."""
        ...

    def arrays_before(self, held: Mapping[str, Held]) -> None:
        """Hardware-captured arrays held this before the run, by channel."""
        ...

    def found_gaps(self, is_gap: npt.NDArray[np.bool_] | None) -> None:
        """It is known which raw pixels (y, x) do not measure; None: all do."""
        ...

    def saturated(self, are_new: npt.NDArray[np.bool_]) -> None:
        """These stored pixels (ny, nx) have saturated for the first time; called before their row is written."""
        ...

    def counted(self, first: int, epochs: Sequence[Epoch], n_announced: int) -> None:
        """These are the epochs from the `first` on by now; called before a row of a new one is written."""
        ...

    def unheard(self, stretches: Sequence[Unheard]) -> None:
        """Of these stretches the record of the channels in the file does not tell."""
        ...

    def reached(self, reached: Reached) -> None:
        """The frames of the run have come so far; called whenever some came, before a row of them is written."""
        ...

    def repeats(self, positions: Sequence[int]) -> None:
        """These positions were announced to be repeated; may be called from any thread."""
        ...

    def drains(self, reason: EndReason, n_exposed: int | None) -> None:
        """The run has begun to end; `n_exposed` frames of it were made (None: nobody knows)."""
        ...

    def ended(self, status: RunStatus, superseded: Sequence[Path] = ()) -> None:
        """The run has ended so and its file is closed: it will not be resumed, and these files are not needed any
        more."""
        ...


class NoJournal:
    """That of a run that is not resumed: a recording can be read again."""

    problem = ""

    def armed(self, begin: Begin) -> None:
        """See `RunJournal`, as all of these."""

    def disarmed(self) -> None: ...

    def numbered(self, number: int) -> None: ...

    def began(self, begin: FileBegin) -> None: ...

    def arrays_before(self, held: Mapping[str, Held]) -> None: ...

    def found_gaps(self, is_gap: npt.NDArray[np.bool_] | None) -> None: ...

    def counted(self, first: int, epochs: Sequence[Epoch], n_announced: int) -> None: ...

    def unheard(self, stretches: Sequence[Unheard]) -> None: ...

    def saturated(self, are_new: npt.NDArray[np.bool_]) -> None: ...

    def reached(self, reached: Reached) -> None: ...

    def repeats(self, positions: Sequence[int]) -> None: ...

    def drains(self, reason: EndReason, n_exposed: int | None) -> None: ...

    def ended(self, status: RunStatus, superseded: Sequence[Path] = ()) -> None: ...

"""What the simulated beamline really did, frame by frame: the account the service's ledger is judged by."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


class Fate(StrEnum):
    """What became of a frame on its way out of the simulated detector."""

    SENT = "sent"
    DROPPED = "dropped"
    DUPLICATED = "duplicated"


class Truth:
    """The record of one session of the simulated beamline; made by `Beamline.new_truth()`."""

    def record(
        self,
        unique_id: int,
        epoch: int,
        x_m: float,
        y_m: float,
        start_ns: int,
        end_ns: int,
        energy_eV: float,
        exposure_s: float,
        fate: Fate,
        pixels: NDArray[Any] | None = None,
    ) -> None:
        """Enter one frame; with `pixels` (the frame as made, C order) the CRC-32 of its bytes is kept too."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Frames recorded so far."""
        ...

    def clear(self) -> None:
        """Forget the frames, keep the beamline."""
        ...

    def save(self, path: Path) -> None:
        """Write everything as an uncompressed .npz, whole or not at all (temporary name, then renamed)."""
        ...

"""Given frames made faulty, with labels: those of a real beamline, above all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from iocsim.detector.faulty_frames import FaultyFrames, LabelledFrames
from iocsim.detector.frames import Conditions, StackFrames
from iocsim.physics.drifts import Drifts
from iocsim.physics.frame_faults import FaultKind, FrameFaults, faults_among
from iocsim.physics.pixel_faults import GIVEN_KINDS, Sensor, largest_value, refuse_wrong_energy

ANYWHERE = Conditions(0.0, 0.0, 0.0, 0.0, shutter_open=True)  # given frames depend on none of it


def apply_faults(
    frames: NDArray[Any],
    seed: int = 1,
    *,
    fault_share: float = 0.05,
    kinds: Sequence[FaultKind | str] = GIVEN_KINDS,
    fault_ids: Mapping[FaultKind, frozenset[int]] | None = None,
    sensor: Sensor | None = None,
) -> LabelledFrames:
    """A copy of the frames (n, ny, nx) of which round(fault_share x n) are faulty, the kinds as evenly as that goes.

    `fault_ids` says instead which uniqueIds (1 to n) have which fault. Without a sensor it counts photons, and clips at
    the largest value of its type or, from four bytes on, of these frames. Raises FaultError, ValueError.
    """
    ids = faults_among(len(frames), fault_share, kinds, seed) if fault_ids is None else fault_ids
    refuse_wrong_energy(ids)
    faults = FrameFaults(seed, ids=ids)
    sensor = sensor or Sensor(largest_value(frames))
    source = FaultyFrames(StackFrames(frames), sensor, lambda: faults, Drifts)
    return source.take_all([ANYWHERE] * len(frames), exposure_s=0.0)

"""Faults of single exposures, with a label each: what goes wrong at a beamline while a scan runs.

Which frame is hit, by what and how much depends on the seed and its uniqueId alone: a run can be repeated, and a
position that is measured again, under another uniqueId, is sound. The labels go to the truth file, never into the
stream.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iocsim.physics.deviation import STEADY, Deviation
from iocsim.unique_ids import FaultError, chance, parse_ids, seed_of

WRONG_ENERGIES = (-0.06, -0.03, 0.03, 0.06)
"""Relative; few, since each is another probe and another drawing of the sample."""
HARMONIC_HALF_WIDTH = 0.05
"""Relative detuning at which the undulator, which stayed where it was, gives half the light."""
HOT_LEVEL = (0.2, 0.9)
"""What the pixels of a burst read, of saturation."""
RANDOM_STREAM = 5  # of one seed; 0 is the specimen's, 1 to 4 are the camera's


class FaultKind(StrEnum):
    """What is wrong with an exposure."""

    BEAM_DUMP = "beam_dump"
    HALF_SHUT = "half_shut"
    BEAM_JUMP = "beam_jump"
    VIBRATION = "vibration"
    SATURATION = "saturation"
    PARTIAL_READOUT = "partial_readout"
    REPEATED = "repeated"
    HOT_PIXELS = "hot_pixels"
    WRONG_ENERGY = "wrong_energy"


ALL_KINDS = tuple(FaultKind)

MAGNITUDES: Mapping[FaultKind, tuple[float, float]] = MappingProxyType(
    {
        FaultKind.BEAM_DUMP: (-0.95, -0.30),  # relative change of the flux
        FaultKind.HALF_SHUT: (0.3, 0.7),  # share of the light that the blade holds back
        FaultKind.BEAM_JUMP: (3.0, 20.0),  # pixels by which the pattern moves
        FaultKind.VIBRATION: (2.0, 6.0),  # amplitude in pixels
        FaultKind.SATURATION: (1.5, 6.0),  # what the brightest pixel should read, of what it can
        FaultKind.PARTIAL_READOUT: (0.2, 0.6),  # share of the rows that read nothing
        FaultKind.REPEATED: (1.0, 1.0),  # frames back
        FaultKind.HOT_PIXELS: (20.0, 200.0),  # number of pixels
        FaultKind.WRONG_ENERGY: (min(WRONG_ENERGIES), max(WRONG_ENERGIES)),  # relative
    }
)
"""Smallest and largest magnitude of each kind; in between they are evenly distributed."""

LIGHT_KINDS = frozenset(
    (FaultKind.BEAM_DUMP, FaultKind.HALF_SHUT, FaultKind.BEAM_JUMP, FaultKind.VIBRATION, FaultKind.SATURATION)
)
"""Kinds that are a deviation of the light."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of one exposure."""

    kind: FaultKind
    magnitude: float
    """In the unit of its kind, see `MAGNITUDES`."""
    key: tuple[int, int]
    """Seed and uniqueId: what else is random about it follows from them."""

    @property
    def energy_factor(self) -> float:
        """True energy, of the one that was asked for."""
        return 1.0 + self.magnitude if self.kind is FaultKind.WRONG_ENERGY else 1.0

    def deviation(self) -> Deviation:
        """What it does to the light."""
        direction_rad = 2 * math.pi * chance(*self.key, salt=22)
        match self.kind:
            case FaultKind.BEAM_DUMP:
                return Deviation(flux=1.0 + self.magnitude)
            case FaultKind.HALF_SHUT:
                return Deviation(blocked=self.magnitude, blade_side=int(4 * chance(*self.key, salt=23)))
            case FaultKind.BEAM_JUMP:
                jump = (self.magnitude * math.sin(direction_rad), self.magnitude * math.cos(direction_rad))
                return Deviation(pointing_yx_px=jump)
            case FaultKind.VIBRATION:
                return Deviation(vibration_px=self.magnitude, vibration_rad=direction_rad)
            case FaultKind.SATURATION:
                return Deviation(overexposure=self.magnitude)
            case FaultKind.WRONG_ENERGY:
                return Deviation(flux=1.0 / (1.0 + (self.magnitude / HARMONIC_HALF_WIDTH) ** 2))
        return STEADY

    def read_out(self, frame: NDArray[Any], frame_before: NDArray[Any] | None, saturation_ADU: float) -> NDArray[Any]:
        """The frame (raw axes) as it is read out; what is given is not written into."""
        rng = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self.key[0], RANDOM_STREAM, seed_of(self.key[1])]))
        )
        match self.kind:
            case FaultKind.REPEATED if frame_before is not None:
                return frame_before
            case FaultKind.PARTIAL_READOUT:
                n_rows = min(max(1, round(self.magnitude * len(frame))), len(frame))
                first = int(rng.integers(0, len(frame) - n_rows + 1))
                frame = frame.copy()
                frame[first : first + n_rows] = 0
            case FaultKind.HOT_PIXELS:
                hit = rng.choice(frame.size, min(round(self.magnitude), frame.size), replace=False)
                reads = saturation_ADU * rng.uniform(*HOT_LEVEL, hit.size)
                frame = frame.copy()
                frame.flat[hit] = np.maximum(frame.flat[hit], reads.astype(frame.dtype))
        return frame


@dataclass(frozen=True, slots=True)
class FrameFaults:
    """Which frames have a fault: those that are listed, and of the others a share by chance."""

    seed: int = 1
    share: float = 0.0
    kinds: tuple[FaultKind, ...] = ALL_KINDS
    """Those that chance chooses among, each as often."""
    ids: Mapping[FaultKind, frozenset[int]] = field(default_factory=dict)

    @property
    def are_none(self) -> bool:
        """No frame is hit."""
        return not self.ids and (self.share <= 0.0 or not self.kinds)

    def of(self, unique_id: int) -> Fault | None:
        """The fault of a frame; None for a sound one."""
        for kind, ids in self.ids.items():
            if unique_id in ids:
                return self._fault(kind, unique_id)
        if self.kinds and chance(self.seed, unique_id, salt=20) < self.share:
            return self._fault(self.kinds[int(len(self.kinds) * chance(self.seed, unique_id, salt=21))], unique_id)
        return None

    def _fault(self, kind: FaultKind, unique_id: int) -> Fault:
        draw = chance(self.seed, unique_id, salt=24)
        low, high = MAGNITUDES[kind]
        magnitude = low + (high - low) * draw
        if kind is FaultKind.WRONG_ENERGY:
            magnitude = WRONG_ENERGIES[int(len(WRONG_ENERGIES) * draw)]
        elif kind is FaultKind.HOT_PIXELS:
            magnitude = float(round(magnitude))
        return Fault(kind, magnitude, (self.seed, unique_id))


def faults_among(
    n_frames: int, share: float, kinds: Sequence[FaultKind | str], seed: int
) -> dict[FaultKind, frozenset[int]]:
    """uniqueIds (2 to n_frames) of round(share x n) faulty frames, by kind: as many of each as that goes."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, RANDOM_STREAM, 0])))
    n_faulty = round(share * n_frames) if kinds else 0
    hit = rng.permutation(np.arange(2, n_frames + 1))[:n_faulty]  # the first frame could repeat none
    order = rng.permutation([FaultKind(kind) for kind in kinds]) if kinds else []
    return {
        FaultKind(str(kind)): frozenset(int(unique_id) for unique_id in hit[number :: len(order)])
        for number, kind in enumerate(order)
    }


def parse_kinds(text: str) -> tuple[FaultKind, ...]:
    """Kinds from text such as `beam_dump,vibration`; empty text is all of them. Raises FaultError."""
    names = [name for name in text.replace(" ", "").split(",") if name]
    return tuple(_kind(name) for name in names) or ALL_KINDS


def parse_fault_ids(text: str) -> dict[FaultKind, frozenset[int]]:
    """uniqueIds of each kind from text such as `beam_dump:100-120,130,vibration:7`. Raises FaultError."""
    listed: dict[FaultKind, frozenset[int]] = {}
    kind: FaultKind | None = None
    for part in text.replace(" ", "").split(","):
        if not part:
            continue
        name, colon, ids = part.rpartition(":")
        if colon:
            kind = _kind(name)
        if kind is None:
            raise FaultError(f"{part!r} has no kind of fault before it: write KIND:IDS, as beam_dump:100-120")
        listed[kind] = listed.get(kind, frozenset()) | parse_ids(ids)
    return listed


def fault_ids_text(listed: Mapping[FaultKind, frozenset[int]]) -> str:
    """The uniqueIds as `parse_fault_ids` reads them."""
    return ",".join(f"{kind}:{','.join(map(str, sorted(ids)))}" for kind, ids in listed.items() if ids)


def _kind(name: str) -> FaultKind:
    try:
        return FaultKind(name)
    except ValueError as error:
        raise FaultError(f"{name!r} is no kind of fault: use {', '.join(FaultKind)}") from error

"""Contents of a file by its layout: the frames, and what is recorded for each of them and for the whole scan."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stream_service.core.pairing.rule import ChannelRule, How
from stream_service.errors import ConfigError, SourceError
from stream_service.sources.hdf5.columns import Column, Identities, Stamps
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.frames import FrameStack
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.sources.recording import Facts
from stream_service.sources.tables.recorded_units import energy_factor, length_factor, seconds_factor
from stream_service.text.units import METRES, is_same_unit

TimestampField = Literal["timeStamp", "dataTimeStamp"]
"""Which stamp of the NDArray counts, as the profile's `frame_time` says it of live frames."""
Scale = Callable[[StoredDataset], float]
"""Gives the factor from a dataset's unit to SI, or to eV. Raises `SourceError` for a unit nobody knows."""


NO_FACTS = Facts()
MOST_ROW_BYTES = 1 << 20
"""Of all that is recorded for a frame beside its pixels; 4000 texts of areaDetector's."""


@dataclass(frozen=True, slots=True)
class Hdf5Paths:
    """Datasets that the operator names; they come before what the layout says. Empty: as the layout says."""

    data: str = ""
    """The frames, (N, y, x)."""
    pos_x: str = ""
    """(N,)"""
    pos_y: str = ""
    pos: str = ""
    """(N, 2) or (N, 3): x, then y."""
    energy: str = ""
    """() or (N,)"""
    exposure: str = ""
    """() or (N,)"""
    unique_id: str = ""
    """(N,)"""
    pos_unit: str = ""
    """Of positions, instead of what the file says; if it says that of one axis only, that of the other one."""

    def __post_init__(self) -> None:
        if self.pos_unit and self.pos_unit not in METRES:
            raise ConfigError(f"--pos-unit {self.pos_unit!r} is not a unit of a length: give {METRES.choice}")


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """A file as its layout explains it."""

    layout: str
    frames: FrameStack
    columns: tuple[Column, ...] = ()
    """What becomes the attributes of a frame."""
    unique_ids: Identities | None = None
    """None: a frame's place in the file is its id."""
    stamps: Stamps | None = None
    facts: Facts = NO_FACTS
    rules: tuple[ChannelRule, ...] = ()
    is_on_sample: bool = False
    exposure_attribute: str = ""
    references: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    axis_signs: tuple[int, int] | None = None
    n_expected: int | None = None
    n_exposed: int | None = None
    first_unique_id: int | None = None
    """Where the file itself says with which id the scan began."""
    is_appended: bool = False
    """True for files written frame by frame by NDFileHDF5: if the writer died, values of the last frames may lack; a
    dataset is made with one row, which proves nothing until something was stored in it."""
    keys: StoredDataset | None = None
    """Of a standard file: non-zero for every row that is whole."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """By name of a number or channel: why what the file has cannot be taken."""
    notes: tuple[str, ...] = ()

    @property
    def per_frame(self) -> Mapping[StoredDataset, str]:
        """Every dataset beside the frames that has a row for each of them, and what its rows are called."""
        found: dict[StoredDataset, str] = {}
        for column in self.columns:
            found[column.stored] = "positions" if column.name in ("x", "y") else f"values of {column.name}"
        if self.unique_ids is not None:
            found[self.unique_ids.stored] = "uniqueIds"
        if self.stamps is not None:
            found |= dict.fromkeys(self.stamps.stored, "stamps")
        return found

    def check_holds(self, file_bytes: int) -> None:
        """Raise `SourceError` if what is recorded for each frame is more than a file of this size can hold."""
        for stored in self.per_frame:
            stored.check_holds(file_bytes)
        row_bytes = sum(stored.row_bytes for stored in self.per_frame)
        if row_bytes > MOST_ROW_BYTES:
            raise SourceError(
                f"{self.frames.stored.where}: {row_bytes} bytes are recorded beside each frame, which exceeds the "
                f"limit of {MOST_ROW_BYTES}"
            )


@dataclass(slots=True)
class ChannelFinder:
    """Collects columns, rules and numbers of x, y, energy and exposure, and references, while a layout is read."""

    n_frames: int
    facts: dict[str, float] = field(default_factory=dict)
    columns: list[Column] = field(default_factory=list)
    rules: dict[str, ChannelRule] = field(default_factory=dict)
    exposure_attribute: str = ""
    references: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    """`dark`, `flat` and `mask` (y, x)."""
    problems: dict[str, str] = field(default_factory=dict)
    """By name of a number or channel: why what is there cannot be taken. Who gives it otherwise need not care."""
    notes: list[str] = field(default_factory=list)

    def add_position(
        self, name: str, attribute: str, stored: StoredDataset, component: int | None, scale: float
    ) -> None:
        """x or y of each frame; `component` of (N, k)."""
        is_fit = len(stored.shape) == (1 if component is None else 2) and stored.is_numeric
        if not is_fit or (component is not None and stored.shape[1] <= component):
            wanted = "(N,)" if component is None else "(N, 2) or (N, 3)"
            raise SourceError(f"{stored.where} is {stored.shape} {stored.dtype}; positions are {wanted} numbers")
        self.columns.append(Column(attribute, stored, component, scale))
        self.rules[name] = ChannelRule(name, How.ATTRIBUTE, attribute)

    def add_recorded(self, name: str, fact: str, stored: StoredDataset, scale: Scale, *, inverse: bool = False) -> None:
        """A number that was found, not named by the operator: what cannot be read is a problem, and no error yet."""
        try:
            self.add_number(name, fact, name, stored, scale, inverse=inverse)
        except SourceError as error:
            self.problems.setdefault(fact, str(error))

    def add_number(
        self, name: str, fact: str, attribute: str, stored: StoredDataset, scale: Scale, *, inverse: bool = False
    ) -> None:
        """Energy or exposure: one number for the scan, or one for each frame; `inverse` where `scale` is divided by it.

        Raises `SourceError`.
        """
        if not stored.is_numeric or len(stored.shape) > 1:
            raise SourceError(f"{stored.where} is {stored.shape} {stored.dtype}; {name} is one number, or one a frame")
        is_one = stored.shape == (1,) and stored.maxshape == (1,) and self.n_frames != 1
        if is_one or not stored.shape:
            value, factor = float(stored.whole().reshape(-1)[0]), scale(stored)
            self.facts[fact] = factor / (value or math.nan) if inverse else value * factor
            return
        self.columns.append(Column(attribute, stored, scale=scale(stored), is_inverse=inverse))
        if name == "exposure":
            self.exposure_attribute = attribute
        else:
            self.rules[name] = ChannelRule(name, How.ATTRIBUTE, attribute)

    def add_given(self, tree: Hdf5Tree, paths: Hdf5Paths) -> None:
        """Add what the operator named; the path is the name of the attribute."""
        if (paths.pos_x or paths.pos_y) and paths.pos:
            raise SourceError(f"{tree.path}: give the positions by pos_x and pos_y, or by pos, not by both")
        axes = {name: tree.needed(path) for name, path in (("x", paths.pos_x), ("y", paths.pos_y)) if path}
        is_said = all(stored.text("units") for stored in axes.values())
        for name, stored in axes.items():
            path = paths.pos_x if name == "x" else paths.pos_y
            self.add_position(name, path, stored, None, self.position_scale(stored, paths, replaces=is_said))
        if paths.pos:
            stored = tree.needed(paths.pos)
            for component, name in enumerate("xy"):
                attribute = f"{paths.pos}[:, {component}]"
                self.add_position(name, attribute, stored, component, self.position_scale(stored, paths))
        if paths.energy:
            self.add_number("energy", "energy_eV", paths.energy, tree.needed(paths.energy), energy_scale)
        if paths.exposure:
            self.add_number("exposure", "exposure_s", paths.exposure, tree.needed(paths.exposure), exposure_scale)

    def add_fact(self, name: str, stored: StoredDataset | None, scale: Scale) -> None:
        """One number of the whole scan, if it is there and is one number; a unit nobody knows is a problem of it."""
        if stored is not None and stored.is_numeric and math.prod(stored.shape) == 1:
            try:
                self.facts[name] = float(stored.whole().reshape(-1)[0]) * scale(stored)
            except SourceError as error:
                self.problems.setdefault(name, str(error))

    def position_scale(self, stored: StoredDataset, paths: Hdf5Paths, *, replaces: bool = True) -> float:
        """To metres, from the unit that the operator gave, else the dataset's own; a note where the two differ.

        Without `replaces` a dataset's own comes first: the operator's is for the other axis, which has none.
        """
        own = stored.text("units")
        if not paths.pos_unit or (own and not replaces):
            taken, other, whose = own, paths.pos_unit, "the file says, and not --pos-unit, which the other axis needs"
        else:
            taken, other, whose = paths.pos_unit, own, f"--pos-unit says; the file says {own}"
        if taken and other and not is_same_unit(taken, other):
            self.note(f"{stored.path} is taken in {taken}, as {whose}")
        return length_factor(taken, stored.where)

    def note(self, sentence: str) -> None:
        """A sentence the operator should read, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def has(self, name: str) -> bool:
        """True if a channel, or the exposure, was found already."""
        if name == "exposure":
            return bool(self.exposure_attribute) or "exposure_s" in self.facts
        return name in self.rules or (name == "energy" and "energy_eV" in self.facts)

    def contents(self, layout: str, frames: FrameStack, **more: Any) -> Contents:
        """All that was collected; `more` are fields of `Contents` that only this layout has."""
        return Contents(
            layout,
            frames,
            tuple(self.columns),
            facts=Facts(**self.facts),
            rules=tuple(self.rules.values()),
            exposure_attribute=self.exposure_attribute,
            references=self.references,
            problems=self.problems,
            notes=tuple(self.notes),
            **more,
        )


def length_scale(stored: StoredDataset) -> float:
    """Metres, if the dataset does not say otherwise."""
    return length_factor(stored.text("units"), stored.where)


def energy_scale(stored: StoredDataset) -> float:
    """To eV; without a unit the first value tells joules from eV."""
    return energy_factor(stored.text("units"), stored.first_number, stored.where)


def exposure_scale(stored: StoredDataset) -> float:
    """Seconds, if the dataset does not say otherwise."""
    return seconds_factor(stored.text("units"), stored.where)


NUMBERS: tuple[tuple[str, str, Scale], ...] = (
    ("energy", "energy_eV", energy_scale),
    ("exposure", "exposure_s", exposure_scale),
)
"""Channels that may be one number for the scan or one for each frame, with the name of that number."""


def identities_of(tree: Hdf5Tree, paths: Hdf5Paths, stored: StoredDataset | None) -> Identities | None:
    """The ids the operator named, else those of the layout."""
    found = tree.needed(paths.unique_id) if paths.unique_id else stored
    return None if found is None else Identities(found)


def image_of(stored: StoredDataset | None, frame_shape: tuple[int, int]) -> npt.NDArray[Any] | None:
    """An image in the axes of the frames; None if there is none. Raises `SourceError` for one of another shape."""
    if stored is None:
        return None
    is_fit = stored.is_numeric or stored.dtype == np.bool_
    if stored.shape != frame_shape or not is_fit:
        raise SourceError(f"{stored.where} has shape {stored.shape} {stored.dtype}, its frames {frame_shape}")
    return stored.whole()

"""Files that areaDetector's NDFileHDF5 wrote, in its default layout or in any layout from XML.

A layout may put things anywhere, but HDF5 attributes tell what they are: the frames have NDArrayNumDims, and every
column has NDAttrName, the name of the NDAttribute. Columns come as the frame's attributes under that name, in the unit
of the PV, as they come with a live frame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stream_service.core.pairing.rule import ChannelRule, How
from stream_service.errors import SourceError
from stream_service.sources.hdf5.columns import Column, Stamps, driver_stamps, epics_stamps, is_column
from stream_service.sources.hdf5.contents import (
    NUMBERS,
    ChannelFinder,
    Contents,
    Hdf5Paths,
    TimestampField,
    identities_of,
    length_scale,
)
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.frames import FrameStack
from stream_service.sources.hdf5.masks import add_own_mask
from stream_service.sources.hdf5.numbers import add_nexus_numbers
from stream_service.sources.hdf5.reordered import FlatDataset
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.sources.tables.column_names import WELL_KNOWN, name_and_unit
from stream_service.sources.tables.recorded_units import first_unit
from stream_service.text.units import ELECTRONVOLTS, METRES, SECONDS, UnitTable

LAYOUT = "areaDetector (NDFileHDF5)"
IS_FRAMES, NAME = "NDArrayNumDims", "NDAttrName"
DEFAULT_PLACES = ("/entry/data/data", "/entry/instrument/detector/data")
UNIQUE_ID, SECONDS_PAST, NANOSECONDS_PAST, DRIVER_STAMP = (
    "NDArrayUniqueId",
    "NDArrayEpicsTSSec",
    "NDArrayEpicsTSnSec",
    "NDArrayTimeStamp",
)
OF_THE_NDARRAY = (UNIQUE_ID, SECONDS_PAST, NANOSECONDS_PAST, DRIVER_STAMP)
"""Columns that NDFileHDF5 always adds; a live frame has them as fields, not as attributes."""
MOST_COLUMNS = 2048


def is_areadetector(tree: Hdf5Tree) -> bool:
    """True if NDFileHDF5 wrote the file."""
    if tree.with_attribute(IS_FRAMES):
        return True
    return tree.first(*DEFAULT_PLACES) is not None and bool(tree.with_attribute(NAME))


def read_areadetector(tree: Hdf5Tree, paths: Hdf5Paths, timestamp_field: TimestampField) -> Contents:
    """Explain a file of areaDetector; the extra dimensions of a scan are taken as one axis, in the file's order."""
    found = _frames(tree, paths)
    n_leading = len(found.shape) - 2
    is_flat = n_leading > 1 and found.text(IS_FRAMES) in ("", "2")
    frames = FrameStack(FlatDataset(found, 2) if is_flat else found, tree.file_bytes)
    finder = ChannelFinder(frames.n_frames)
    stored = _columns(tree, finder.notes, n_leading if is_flat else 1)
    finder.add_given(tree, paths)
    for fact in ("det_dist_m", "pixel_m"):
        finder.add_fact(fact, next(tree.named(fact), None), length_scale)
    for name, fact, scale in NUMBERS:
        if not finder.has(name):
            finder.add_fact(fact, next((found for found in tree.named(fact) if not found.text(NAME)), None), scale)
    rules: dict[str, ChannelRule] = {}
    for name in ("x", "y", "energy"):
        if not finder.has(name):
            rules |= _well_known(name, stored, finder, paths.pos_unit if name != "energy" else "")
    add_nexus_numbers(finder, tree, lambda found: not found.text(NAME))  # an NDAttribute's are told by its name
    finder.rules |= rules
    add_own_mask(finder, tree, frames.frame_shape)
    if not finder.has("exposure"):
        finder.exposure_attribute = _exposure(stored)
    finder.columns += [_column(name, column) for name, column in stored.items() if name not in OF_THE_NDARRAY]
    ids, stamps = identities_of(tree, paths, stored.get(UNIQUE_ID)), _stamps(stored, timestamp_field, finder.notes)
    return finder.contents(LAYOUT, frames, unique_ids=ids, stamps=stamps, n_expected=frames.n_most, is_appended=True)


def _frames(tree: Hdf5Tree, paths: Hdf5Paths) -> StoredDataset:
    if paths.data:
        return tree.needed(paths.data)
    found = {stored.path: stored for stored in tree.with_attribute(IS_FRAMES)}
    default = tree.first(*DEFAULT_PLACES)
    if len(found) == 1:
        return next(iter(found.values()))
    if default is not None:
        return default
    raise SourceError(f"{tree.path} has frames in {', '.join(found)}: name one by --data-path")


def _columns(tree: Hdf5Tree, notes: list[str], n_leading: int) -> dict[str, StoredDataset]:
    """The columns by name of their NDAttribute; one with as many axes as the scan has is flattened."""
    found: dict[str, StoredDataset] = {}
    for stored in tree.with_attribute(NAME)[:MOST_COLUMNS]:
        name = stored.text(NAME)
        if not name or name in found:
            continue
        if len(stored.shape) == n_leading > 1:
            stored = FlatDataset(stored, 0)
        if not is_column(stored):
            notes.append(f"{stored.where} is left out: {stored.shape} {stored.dtype} is not a value for each frame")
            continue
        found[name] = stored
    return found


def _column(name: str, stored: StoredDataset) -> Column:
    is_pv = stored.text("NDAttrSourceType") == "NDAttrSourceEPICSPV"
    return Column(name, stored, nan_is_none=is_pv and stored.dtype == "f4")


def _stamps(columns: Mapping[str, StoredDataset], field: TimestampField, notes: list[str]) -> Stamps | None:
    """`timeStamp` is the EPICS time of the NDArray, `dataTimeStamp` the driver's own; one for want of the other."""
    epics = driver = None
    if SECONDS_PAST in columns and NANOSECONDS_PAST in columns:
        epics = epics_stamps(columns[SECONDS_PAST], columns[NANOSECONDS_PAST])
    if DRIVER_STAMP in columns:
        driver = driver_stamps(columns[DRIVER_STAMP])
    wanted, other = (epics, driver) if field == "timeStamp" else (driver, epics)
    if wanted is None and other is not None:
        notes.append(f"the {field} of the frames was not recorded; the other stamp, {other.stored[0].path}, is taken")
    return wanted or other


def _well_known(
    name: str, columns: Mapping[str, StoredDataset], finder: ChannelFinder, given_unit: str
) -> dict[str, ChannelRule]:
    """The rule for a channel whose column has a name everybody uses and a unit that is stated or given; else none."""
    table = ELECTRONVOLTS if name == "energy" else METRES
    for attribute, stored in _named(name, columns, table):
        stated = _stated_unit(attribute, stored, table)
        if not stored.is_numeric:
            continue
        if unit := given_unit or stated:
            told = "" if unit == stated else ", as --pos-unit says" + (f"; the file says {stated}" if stated else "")
            finder.note(f"{name} is the NDAttribute '{attribute}' in {unit}{told}")
            return {name: ChannelRule(name, How.ATTRIBUTE, attribute, table.factor(unit) or 1.0)}
        option = "--energy-eV E" if name == "energy" else "--pos-unit, such as --pos-unit um"
        finder.problems.setdefault(
            "energy_eV" if name == "energy" else name, f"the NDAttribute '{attribute}' has no unit: give {option}"
        )
    return {}


def _exposure(columns: Mapping[str, StoredDataset]) -> str:
    """The attribute with the exposure time in seconds; empty if there is none."""
    for attribute, stored in _named("exposure", columns, SECONDS):
        if stored.is_numeric and SECONDS.factor(_stated_unit(attribute, stored, SECONDS) or "s") == 1.0:
            return attribute
    return ""


def _named(name: str, columns: Mapping[str, StoredDataset], units: UnitTable) -> list[tuple[str, StoredDataset]]:
    """Columns with a well-known name of the channel, the most usual name first."""
    by_name: dict[str, tuple[str, StoredDataset]] = {}
    for attribute, stored in columns.items():
        by_name.setdefault(name_and_unit(attribute, units)[0], (attribute, stored))
    return [by_name[known] for known in WELL_KNOWN[name] if known in by_name]


def _stated_unit(attribute: str, stored: StoredDataset, table: UnitTable) -> str:
    """From `@units`; from the end of a name such as `energy_eV`; from the last word of the description."""
    words: Sequence[str] = re.split(r"[\s,;()\[\]]+", stored.text("NDAttrDescription").strip(" .)]"))
    ends = [name_and_unit(name.rsplit("/", 1)[-1], table)[1] for name in (attribute, stored.path)]
    return first_unit((stored.text("units"), *ends, words[-1]), table)

"""Files that areaDetector's NDFileHDF5 wrote, in its default layout or in any layout from XML.

A layout may put things anywhere, but HDF5 attributes tell what they are: the frames have NDArrayNumDims, and every
column has NDAttrName, the name of the NDAttribute. Columns come as the frame's attributes under that name, in the unit
of the PV, as they come with a live frame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stream_service.core.pairing import ChannelRule, How
from stream_service.core.units import ELECTRONVOLTS, METRES
from stream_service.errors import SourceError
from stream_service.sources.hdf5_columns import Column, Stamps, driver_stamps, epics_stamps, is_column
from stream_service.sources.hdf5_contents import (
    ChannelFinder,
    Contents,
    Hdf5Paths,
    TimestampField,
    energy_scale,
    exposure_scale,
    identities_of,
    length_scale,
)
from stream_service.sources.hdf5_dataset import StoredDataset
from stream_service.sources.hdf5_frames import FrameStack
from stream_service.sources.hdf5_tree import Hdf5Tree
from stream_service.sources.recorded_units import SECONDS, first_unit
from stream_service.sources.recording import Facts

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
WELL_KNOWN: Mapping[str, tuple[str, ...]] = {
    "x": ("posx", "x", "xpos", "samplex", "stagex", "scanx", "positionx"),
    "y": ("posy", "y", "ypos", "sampley", "stagey", "scany", "positiony"),
    "energy": ("energy", "photonenergy", "monoenergy"),
    "exposure": ("acquiretime", "acqtime", "exposure", "exposuretime", "expose", "counttime"),
}
"""Names of columns for a channel, in small letters and without `_`, with or without a unit behind."""


def is_areadetector(tree: Hdf5Tree) -> bool:
    """Whether NDFileHDF5 wrote the file."""
    if tree.with_attribute(IS_FRAMES):
        return True
    return tree.first(*DEFAULT_PLACES) is not None and bool(tree.with_attribute(NAME))


def read_areadetector(tree: Hdf5Tree, paths: Hdf5Paths, timestamp_field: TimestampField) -> Contents:
    """Explain a file of areaDetector."""
    frames = FrameStack(_frames(tree, paths), tree.file_bytes)
    notes: list[str] = []
    stored = _columns(tree, notes)
    finder = ChannelFinder(frames.n_frames)
    finder.add_given(tree, paths)
    finder.add_fact("det_dist_m", next(tree.named("det_dist_m"), None), length_scale)
    finder.add_fact("pixel_m", next(tree.named("pixel_m"), None), length_scale)
    for name, fact, scale in (("energy", "energy_eV", energy_scale), ("exposure", "exposure_s", exposure_scale)):
        if not finder.has(name):
            finder.add_fact(fact, next((found for found in tree.named(fact) if not found.text(NAME)), None), scale)
    rules = dict(finder.rules)
    for name in ("x", "y", "energy"):
        if name not in rules and not (name == "energy" and finder.has(name)):
            rules |= _well_known(name, stored, notes)
    exposure = finder.exposure_attribute or ("" if finder.has("exposure") else _exposure(stored))
    return Contents(
        layout=LAYOUT,
        frames=frames,
        columns=(*finder.columns, *(_column(name, stored[name]) for name in stored if name not in OF_THE_NDARRAY)),
        unique_ids=identities_of(tree, paths, stored.get(UNIQUE_ID)),
        stamps=_stamps(stored, timestamp_field, notes),
        facts=Facts(**finder.facts),
        rules=tuple(rules.values()),
        exposure_attribute=exposure,
        n_expected=frames.n_most,
        is_appended=True,
        notes=tuple(notes),
    )


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


def _columns(tree: Hdf5Tree, notes: list[str]) -> dict[str, StoredDataset]:
    """The columns by name of their NDAttribute."""
    found: dict[str, StoredDataset] = {}
    for stored in tree.with_attribute(NAME)[:MOST_COLUMNS]:
        name = stored.text(NAME)
        if not name or name in found:
            continue
        if not is_column(stored):
            notes.append(f"{stored.where} is left out: {stored.shape} {stored.dtype} is no value for each frame")
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


def _well_known(name: str, columns: Mapping[str, StoredDataset], notes: list[str]) -> dict[str, ChannelRule]:
    """The rule for a channel whose column has a name everybody uses and a unit that is stated; else none."""
    table = ELECTRONVOLTS if name == "energy" else METRES
    for attribute, stored in _named(name, columns, table):
        unit = _stated_unit(attribute, stored, table)
        if unit and stored.is_numeric:
            notes.append(f"{name} is the NDAttribute '{attribute}' in {unit}")
            return {name: ChannelRule(name, How.ATTRIBUTE, attribute, table[unit])}
    return {}


def _exposure(columns: Mapping[str, StoredDataset]) -> str:
    """The attribute with the exposure time in seconds; empty if there is none."""
    for attribute, stored in _named("exposure", columns, SECONDS):
        if stored.is_numeric and _stated_unit(attribute, stored, SECONDS) in ("", "s", "sec", "second", "seconds"):
            return attribute
    return ""


def _named(
    name: str, columns: Mapping[str, StoredDataset], units: Mapping[str, float]
) -> list[tuple[str, StoredDataset]]:
    """Columns with a well-known name of the channel, the most usual name first."""
    by_name: dict[str, tuple[str, StoredDataset]] = {}
    for attribute, stored in columns.items():
        words = attribute.split("_")
        plain = words[:-1] if len(words) > 1 and words[-1] in units else words
        by_name.setdefault("".join(plain).lower(), (attribute, stored))
    return [by_name[known] for known in WELL_KNOWN[name] if known in by_name]


def _stated_unit(attribute: str, stored: StoredDataset, table: Mapping[str, float]) -> str:
    """From `@units`; from the end of a name such as `energy_eV`; from the last word of the description."""
    words: Sequence[str] = re.split(r"[\s,;()\[\]]+", stored.text("NDAttrDescription").strip(" .)]"))
    ends = [name.rsplit("_", 1)[-1] for name in (attribute, stored.path) if "_" in name.rsplit("/", 1)[-1]]
    return first_unit((stored.text("units"), *ends, words[-1]), table)

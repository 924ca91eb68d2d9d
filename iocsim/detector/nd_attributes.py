"""NDAttributes of every frame: the built-in ones, or those of a file from NDAttributesFile.

Behaves as the real driver: the file is a path or the XML itself (with the bare word `<Attributes>`), a PV is asked for
the last value CA has shown, and one that does not exist has none in a first file. Unless the IOC was told to erase them
(`var eraseNDAttributes 1`, here a PV), arrays from the pool keep the NDAttributes of earlier files:

- what the new file does not name stays with the value that it had on the last frame;
- what it names anew takes its value, but description, source and type stay those of the first file (NDAttribute::copy);
- what it names anew with a PV that does not exist shows what lay in the memory that its record got: the value of a PV
  of the file before, the last of which is given away first.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from iocsim.detector.ndarray import Int8, NDAttribute, SourceType
from iocsim.pv import NO_YES, Choice, EnumPv, Pv, PvTable, Text

STATUS = Choice(("Attributes file OK", "File not found", "XML syntax error", "Macro substitution error"), 1)
WHOLE_NUMBERS = ("DBR_CHAR", "DBR_SHORT", "DBR_INT", "DBR_LONG", "DBR_ENUM")
PARAMETERS: Mapping[str, str] = {
    "ACQ_TIME": "AcquireTime_RBV",
    "ACQ_PERIOD": "AcquirePeriod_RBV",
    "ARRAY_SIZE_X": "ArraySizeX_RBV",
    "ARRAY_SIZE_Y": "ArraySizeY_RBV",
    "MAX_SIZE_X": "MaxSizeX_RBV",
    "MAX_SIZE_Y": "MaxSizeY_RBV",
    "MANUFACTURER": "Manufacturer_RBV",
    "MODEL": "Model_RBV",
    "DATA_TYPE": "DataType_RBV",
    "COLOR_MODE": "ColorMode_RBV",
    "GAIN": "Gain_RBV",
    "BIN_X": "BinX_RBV",
    "BIN_Y": "BinY_RBV",
    "IMAGE_MODE": "ImageMode_RBV",
    "NIMAGES": "NumImages_RBV",
    "TEMPERATURE": "Temperature_RBV",
}
"""Parameters of the driver, and the PV that shows each; ARRAY_COUNTER is the frame's own."""

AttributeValue = int | float | str | None


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    description: str
    source_type: SourceType
    source: str
    read: Callable[[int], AttributeValue]
    """From the frame's uniqueId to the value."""
    memory: AttributeValue = None
    """What lies where the value of a PV will be, as long as the PV has not connected."""


class NDAttributesFile:
    """The PVs of the attributes file, and the NDAttributes of the next frame."""

    def __init__(self, camera: PvTable, sim: PvTable, built_in: Callable[[int], tuple[NDAttribute, ...]]) -> None:
        """`built_in` gives the NDAttributes of a frame, by its uniqueId, while no file is named."""
        self._pvs = camera.pvs
        self._camera_prefix = camera.prefix
        self._built_in = built_in
        self._entries: tuple[_Entry, ...] | None = None
        self._pooled: dict[str, NDAttribute] = {}
        """The NDAttributes of the last frame: arrays of the pool come back with them."""
        self._freed: list[AttributeValue] = []
        """Values of PVs of earlier files, in the memory that is given away again from the end."""
        self._file = camera.setpoint("NDAttributesFile", Text(length=256))
        self._file.on_put = self._put_file
        self._macros = camera.setpoint("NDAttributesMacros", Text())
        self._status = camera.readback("NDAttributesStatus", STATUS)
        camera.setpoint("EmptyFreeList", Choice(("", "")))  # cures nothing: plugins hold the arrays
        self._erases = sim.pair("EraseNDAttributes", NO_YES)

    def read(self, unique_id: int) -> tuple[NDAttribute, ...]:
        """The NDAttributes of a frame; in the driver's thread."""
        entries = self._entries
        if entries is None:
            attributes = {attribute.name: attribute for attribute in self._built_in(unique_id)}
        else:
            pooled = {} if self._erases.is_on else self._pooled
            attributes = pooled | {entry.name: _carried(entry, unique_id, pooled.get(entry.name)) for entry in entries}
        self._pooled = attributes
        return tuple(attributes.values())

    async def _put_file(self, value: str) -> str:
        old = self._entries
        status, entries = await asyncio.to_thread(self._load, value)
        for entry in old or ():
            if entry.source_type is SourceType.EPICS_PV:
                self._freed.append(entry.memory if (last := entry.read(0)) is None else last)
        self._entries = tuple(
            replace(entry, memory=self._freed.pop())
            if entry.source_type is SourceType.EPICS_PV and self._freed
            else entry
            for entry in entries
        )
        if status is not None:
            await self._status.follow(status)
        return value

    def _load(self, name_or_xml: str) -> tuple[int | None, tuple[_Entry, ...]]:
        """The status (None: as it was) and the entries; as in the real driver, a file of no use leaves none."""
        if not name_or_xml:
            return None, ()
        text = name_or_xml
        if "<Attributes>" not in name_or_xml:
            try:
                text = Path(name_or_xml).read_text(encoding="utf-8")
            except (OSError, ValueError):
                return 1, ()
        try:
            text = _expanded(text, self._macros.value)
        except KeyError:
            return 3, ()
        try:
            root = ElementTree.fromstring(text.encode())
        except ElementTree.ParseError:
            return 2, ()
        return 0, tuple(entry for part in root.iter("Attribute") if (entry := self._entry(part)) is not None)

    def _entry(self, part: ElementTree.Element) -> _Entry | None:
        """None for what stays undefined in the driver: C functions, and parameters it does not have."""
        name, source = part.get("name", ""), part.get("source", "")
        if not name or not source:
            return None
        description = part.get("description", "")
        match part.get("type", "EPICS_PV"):
            case "EPICS_PV":
                pv, kind = self._pvs.get(source), part.get("dbrtype", "DBR_NATIVE")
                return _Entry(name, description, SourceType.EPICS_PV, source, lambda _: _value_as(pv, kind))
            case "PARAM" if source == "ARRAY_COUNTER":
                return _Entry(name, description, SourceType.PARAM, source, lambda unique_id: unique_id)
            case "PARAM" if source in PARAMETERS:
                shown = self._pvs[self._camera_prefix + PARAMETERS[source]]
                return _Entry(name, description, SourceType.PARAM, source, lambda _: _native(shown))
            case "CONST":
                return _Entry(name, description, SourceType.CONSTANT, source, lambda _: source)
        return None


def _carried(entry: _Entry, unique_id: int, old: NDAttribute | None) -> NDAttribute:
    """The NDAttribute of a frame whose array came from the pool with `old`."""
    value = entry.read(unique_id)
    if old is None:
        return NDAttribute(entry.name, value, entry.description, entry.source_type, entry.source)
    if old.value is None:  # of no type: it takes no value any more
        return old
    value = entry.memory if value is None else value
    if isinstance(value, str) != isinstance(old.value, str):
        return old
    return replace(old, value=old.value if value is None else type(old.value)(value))


def _value_as(pv: Pv | None, dbrtype: str) -> AttributeValue:
    """The value of a PV as its NDAttribute has it; None for a PV that does not exist, or cannot be read as that."""
    if pv is None:
        return None
    if dbrtype == "DBR_NATIVE":
        return _native(pv)
    if dbrtype == "DBR_STRING":
        return str(pv.value)
    value = _native(pv)
    try:
        number = float(value)  # type: ignore[arg-type]
        if dbrtype == "DBR_CHAR":
            return Int8((int(number) + 128) % 256 - 128)
        return int(number) if dbrtype in WHOLE_NUMBERS else number
    except (TypeError, ValueError):
        return None


def _native(pv: Pv) -> AttributeValue:
    value: Any = pv.index if isinstance(pv, EnumPv) else pv.value
    return value if isinstance(value, int | float | str) else str(value)


def _expanded(text: str, macros: str) -> str:
    """The text with $(NAME) and ${NAME} replaced; raises KeyError for a name without a value."""
    pairs = (pair.partition("=") for pair in macros.split(",") if "=" in pair)
    values = {name.strip(): value.strip() for name, _, value in pairs}
    return re.sub(r"\$[({](\w+)(?:=([^)}]*))?[)}]", lambda found: _macro(found, values), text)


def _macro(found: re.Match[str], values: Mapping[str, str]) -> str:
    name, default = found[1], found[2]
    return values[name] if name in values or default is None else default

"""What the camera hangs on every frame: the built-in NDAttributes, or those of a file from NDAttributesFile.

Behaves as the real driver: the file is a path or the XML itself (with the bare word `<Attributes>`), a PV is asked for
the last value CA has shown, and one that does not exist has none. Arrays from the pool keep the NDAttributes of an
earlier file with their last values, unless the IOC was told to erase them (`var eraseNDAttributes 1`, here a PV).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from iocsim.ndarray import NDAttribute, SourceType
from iocsim.pv import NO_YES, Choice, EnumPv, Pv, PvTable, Text

STATUS = Choice(("Attributes file OK", "File not found", "XML syntax error", "Macro substitution error"))
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


class NDAttributesFile:
    """The PVs of the attributes file, and the NDAttributes of the next frame."""

    def __init__(self, camera: PvTable, sim: PvTable, built_in: Callable[[int], tuple[NDAttribute, ...]]) -> None:
        """`built_in` gives the NDAttributes of a frame, by its uniqueId, while no file is named."""
        self._pvs = camera.pvs
        self._camera_prefix = camera.prefix
        self._built_in = built_in
        self._entries: tuple[_Entry, ...] | None = None
        self._left_over: dict[str, NDAttribute] = {}
        self._file = camera.setpoint("NDAttributesFile", Text(length=256))
        self._file.on_put = self._put_file
        self._macros = camera.setpoint("NDAttributesMacros", Text())
        self._status = camera.readback("NDAttributesStatus", STATUS)
        self._erases = sim.pair("EraseNDAttributes", Choice(NO_YES.strings, 1))

    def read(self, unique_id: int) -> tuple[NDAttribute, ...]:
        """The NDAttributes of a frame; in the driver's thread."""
        entries = self._entries
        if entries is None:
            return self._built_in(unique_id)
        present = {
            entry.name: NDAttribute(
                entry.name, entry.read(unique_id), entry.description, entry.source_type, entry.source
            )
            for entry in entries
        }
        return tuple((self._left_over | present).values())

    async def _put_file(self, value: str) -> str:
        last = {} if self._erases.is_on else {attribute.name: attribute for attribute in self.read(0)}
        status, entries = self._load(value)
        self._left_over = last
        self._entries = entries
        await self._status.follow(status)
        return value

    def _load(self, name_or_xml: str) -> tuple[int, tuple[_Entry, ...] | None]:
        """The status and the entries; as in the real driver, a file that cannot be used leaves none."""
        if not name_or_xml:
            return 0, None
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
        return int(float(value)) if dbrtype in WHOLE_NUMBERS else float(value)  # type: ignore[arg-type]
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

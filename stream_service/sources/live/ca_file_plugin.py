"""Settings of an NDFileHDF5 plugin read over CA: nothing is ever put."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import CA_FAILURES, CONNECTION_TIMEOUT_S, PV
from stream_service.errors import SourceError
from stream_service.text.utf8 import text_in_waveform

GET_TIMEOUT_S = 2.0
PVS = (
    "XMLFileName_RBV",
    "XMLValid_RBV",
    "XMLErrorMsg_RBV",
    "SWMRMode_RBV",
    "StoreAttr_RBV",
    "NDAttributeChunk_RBV",
    "NumFramesFlush_RBV",
    "FilePath_RBV",
)


@dataclass(frozen=True, slots=True)
class FilePluginState:
    """Its settings at one moment."""

    layout: str
    """XMLFileName: a path as the IOC sees it, or the XML itself; empty for the default layout."""
    layout_is_valid: bool
    """XMLValid: it is well-formed XML, which says nothing of whether it is a layout."""
    layout_message: str
    layout_bytes: int
    """Length of the record XMLFileName: longer XML is cut."""
    swmr: bool
    stores_attributes: bool
    attribute_chunk: int
    flush_every: int
    folder: str = ""
    """Where it writes, as the IOC sees it."""


def read_file_plugin(prefix: str) -> FilePluginState:
    """Ask the plugin with this prefix (`BL1:HDF1:`); raises `SourceError` naming the PVs that do not answer."""
    pvs = {name: PV(prefix + name, auto_monitor=False) for name in PVS}
    try:
        deadline = time.monotonic() + CONNECTION_TIMEOUT_S
        missing = [
            pv.pvname for pv in pvs.values() if not pv.wait_for_connection(max(0.01, deadline - time.monotonic()))
        ]
        if missing:
            raise SourceError(
                f"no answer from {', '.join(missing)} within {CONNECTION_TIMEOUT_S:g} s: is raw_file.plugin in the "
                "profile the prefix of an NDFileHDF5 plugin?"
            )
        layout = pvs["XMLFileName_RBV"]
        return FilePluginState(
            layout=_text(layout),
            layout_is_valid=bool(_number(pvs["XMLValid_RBV"])),
            layout_message=_text(pvs["XMLErrorMsg_RBV"]),
            layout_bytes=int(layout.nelm or 0),
            swmr=bool(_number(pvs["SWMRMode_RBV"])),
            stores_attributes=bool(_number(pvs["StoreAttr_RBV"])),
            attribute_chunk=_number(pvs["NDAttributeChunk_RBV"]),
            flush_every=_number(pvs["NumFramesFlush_RBV"]),
            folder=_text(pvs["FilePath_RBV"]),
        )
    finally:
        for pv in pvs.values():
            let_go(pv)


def _value(pv: Any) -> Any:
    try:
        value = pv.get(timeout=GET_TIMEOUT_S)
    except CA_FAILURES:
        value = None
    if value is None:
        raise SourceError(f"{pv.pvname} does not answer: is its IOC still running?")
    return value


def _number(pv: Any) -> int:
    return int(_value(pv))


def _text(pv: Any) -> str:
    return text_in_waveform(_value(pv))

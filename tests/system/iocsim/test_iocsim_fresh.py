"""A fresh iocsim beside a freshly started real IOC: every PV that both have."""

import asyncio
import csv
from collections.abc import Callable
from pathlib import Path

import epics
import pytest
from limits import HANG_S

from iocsim.faults import Faults
from iocsim.ioc import Ioc
from iocsim.physics.beamline import BeamlineConfig, make_beamline

RECORDING = Path(__file__).parents[2] / "data" / "fresh_ioc_values.tsv"

ON_PURPOSE = {
    "cam1:Manufacturer_RBV": "so that nobody takes the simulated camera for a real one",
    "cam1:Model_RBV": "as the manufacturer",
    "cam1:SerialNumber_RBV": "as the manufacturer",
    "cam1:FirmwareVersion_RBV": "as the manufacturer",
    "cam1:SDKVersion_RBV": "as the manufacturer",
    "cam1:DriverVersion_RBV": "as the manufacturer",
    "cam1:AcquireTime": "the exposure for which the flux is meant",
    "cam1:AcquireTime_RBV": "as AcquireTime",
    "cam1:AcquirePeriod": "as AcquireTime",
    "cam1:AcquirePeriod_RBV": "as AcquireTime",
    "Pva1:PvName_RBV": "it names the prefix",
}
"""PVs that differ, and why."""


def test_fresh_iocsim_says_what_a_fresh_ioc_said(start_ioc: Callable):
    prefix = start_ioc("--shape", "256,256", "--stack", "2").prefix
    with RECORDING.open(encoding="utf-8", newline="") as file:
        recorded = {row["PV"]: row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    # A search for what is not there is never answered.
    served = {name: epics.PV(prefix + name, auto_monitor=False) for name in asyncio.run(_names()) & recorded.keys()}
    assert len(served) > 400
    assert [name for name, pv in served.items() if not pv.wait_for_connection(HANG_S)] == []
    differences = {
        name: f"{told} here, {real} there"
        for name, pv in served.items()
        if name not in ON_PURPOSE and (told := _simulated(pv)) != (real := _recorded(recorded[name]))
    }
    for pv in served.values():
        pv.disconnect()
    assert differences == {}
    assert served.keys() >= ON_PURPOSE.keys()


async def _names() -> set[str]:
    """Names of the PVs of any iocsim, without the prefix."""
    beamline = make_beamline(BeamlineConfig(shape=(32, 48), frames="noise", stack_frames=1))
    return set(Ioc(beamline, "", faults=Faults()).pvs)


def _simulated(pv: epics.PV) -> tuple[str, object, str, str]:
    kind = pv.type.removeprefix("time_")
    value = pv.get(as_string=kind == "char", use_monitor=False, timeout=HANG_S)
    pv.get_ctrlvars(timeout=HANG_S)
    return kind, _value(kind, value), "|".join(pv.enum_strs or ()) if kind == "enum" else "", pv.units or ""


def _recorded(row: dict[str, str]) -> tuple[str, object, str, str]:
    value = {"[]": "", "[0]": "", "['array', 24]": "Default layout selected"}.get(row["value"], row["value"])
    return row["type"], _value(row["type"], value), row["enum"], row["units"]


def _value(kind: str, value: object) -> object:
    if kind == "double":
        return pytest.approx(float(str(value)), rel=1e-9)
    return str(value)

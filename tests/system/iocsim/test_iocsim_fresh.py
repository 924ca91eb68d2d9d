"""A fresh iocsim beside a freshly started real IOC: every PV that both have."""

import csv
from collections.abc import Callable
from pathlib import Path

import epics
import pytest
from beamline_client import TIMEOUT_S

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
    pvs = {name: epics.PV(prefix + name, auto_monitor=False) for name in recorded}
    # A search for what is not there is never answered: once the known last one is, those that are there were, too.
    assert pvs["cam1:Acquire"].wait_for_connection(TIMEOUT_S)
    assert pvs["Pva1:EnableCallbacks"].wait_for_connection(TIMEOUT_S)
    served = {name: pv for name, pv in pvs.items() if pv.wait_for_connection(0.005)}
    assert len(served) > 400
    differences = {
        name: f"{told} here, {real} there"
        for name, pv in served.items()
        if name not in ON_PURPOSE and (told := _simulated(pv)) != (real := _recorded(recorded[name]))
    }
    for pv in pvs.values():
        pv.disconnect()
    assert differences == {}
    assert served.keys() >= ON_PURPOSE.keys()


def _simulated(pv: epics.PV) -> tuple[str, object, str, str]:
    kind = pv.type.removeprefix("time_")
    value = pv.get(as_string=kind == "char", use_monitor=False)
    pv.get_ctrlvars()
    return kind, _value(kind, value), "|".join(pv.enum_strs or ()) if kind == "enum" else "", pv.units or ""


def _recorded(row: dict[str, str]) -> tuple[str, object, str, str]:
    value = {"[]": "", "[0]": "", "['array', 24]": "Default layout selected"}.get(row["value"], row["value"])
    return row["type"], _value(row["type"], value), row["enum"], row["units"]


def _value(kind: str, value: object) -> object:
    if kind == "double":
        return pytest.approx(float(str(value)), rel=1e-9)
    return str(value)

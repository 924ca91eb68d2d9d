"""The service's PVs as screens, archivers and alarm handlers find them, over CA and PVA, beside a real run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from limits import HANG_S
from p4p.client.thread import Context
from p4p.nt import NTTable
from rig import Rig, Rigs

from stream_service.channel_access.library import PV
from stream_service.run.live.beamline_monitors import followed_channels
from stream_service.settings.profile_file import load_profile
from stream_service.settings.pv_descriptions import description_of
from stream_service.settings.pv_type import Kind
from stream_service.settings.status_table import STATUS, ServicePV, ServiceTable

N_ROWS = 5
NO_CLOCK_IS_OFF_BY_S = 3600.0


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture(scope="module")
def rig(ioc: Any, rigs: Rigs) -> Rig:
    """After a run."""
    rig = rigs.beside(ioc.prefix)
    assert rig.arm("shown", n_positions=N_ROWS) == ""
    rig.beamline.acquire(N_ROWS)
    assert rig.wait_for_end() == "COMPLETE"
    return rig


@pytest.fixture(scope="module")
def pva(rig: Rig) -> Iterator[Context]:
    with Context("pva") as context:
        yield context


def test_latest_row_is_the_last_of_the_file(rig: Rig) -> None:
    with rig.open("shown") as file:
        x_m, y_m = file["/entry/pos"][-1] if file["/entry/keep"][-1] else (np.nan, np.nan)
        energy_eV = file["/entry/frames/energy_eV"][-1]
        intensity = file["/entry/qc/features/intensity"][-1]
    found = [rig.service.get(name) for name in ("LastX", "LastY", "LastEnergy", "LastIntensity")]
    np.testing.assert_allclose(found, [1e6 * x_m, 1e6 * y_m, energy_eV, intensity], rtol=0, atol=1.0)
    assert 0.0 < rig.service.get("Latency") < HANG_S
    assert rig.service.get("Percent") == 100.0
    assert str(rig.service.get("LastTime")).startswith("20")


def test_place_version_and_readbacks_are_told(rig: Rig, pva: Context) -> None:
    assert rig.service.get("DataRoot") == str(rig.folder)
    assert 0.0 < rig.service.get("DiskFree") <= shutil.disk_usage(rig.folder).total / 1e9
    assert rig.service.get("Version") == version("ptychostream")
    profile = load_profile(rig.folder / "profile.yaml")
    followed, detector = followed_channels(profile), profile.detector

    def table() -> dict[str, Any]:
        found = pva.get(rig.service.prefix + ServiceTable.READBACKS, timeout=HANG_S)
        return {line["pv"]: line for line in NTTable.unwrap(found)}

    rig.service.wait_until(lambda: all(line["connected"] for line in table().values()) and len(table()))
    lines = table()
    own = [detector.acquire_pv, detector.counter_pv, detector.exposure_pv]
    assert [(line["channel"], pv) for pv, line in lines.items()] == [
        *((channel, follow.pv) for channel, follow in followed.items()),
        *(("detector", pv) for pv in own),
    ]
    assert lines[followed["x"].pv]["unit"] == "um"
    assert rig.service.get("ReadbacksLost") == 0 and rig.service.get("ReadbackProblem") == ""


@pytest.mark.parametrize("pv", [pv for pv in STATUS if pv is not ServicePV.HEARTBEAT])
def test_pva_says_what_ca_says(rig: Rig, pva: Context, pv: ServicePV) -> None:
    def is_same() -> bool:
        found: Any = pva.get(rig.service.prefix + pv, timeout=HANG_S)
        on_ca = rig.service.get(pv)
        return (str(found) if pv.type.choices else found) == on_ca or found != found != on_ca

    rig.service.wait_until(is_same)  # rates, and what is free on the disk, go on


@pytest.mark.parametrize("name", [ServicePV.PERCENT, ServicePV.ROWS, ServicePV.DISK_FREE, ServicePV.STATE])
def test_ca_clients_are_told_what_the_table_says(rig: Rig, name: ServicePV) -> None:
    pv, about = rig.service.pv(name), name.type
    assert pv.get_ctrlvars(timeout=HANG_S) is not None
    assert pv.severity == 0 or name is ServicePV.DISK_FREE
    assert abs(pv.timestamp - time.time()) < NO_CLOCK_IS_OFF_BY_S
    if about.kind is Kind.ENUM:
        assert tuple(map(str, pv.enum_strs)) == about.choices
        return
    assert pv.units == about.unit
    assert (pv.lower_disp_limit, pv.upper_disp_limit) == (about.limits or (0, 0))
    if about.kind is Kind.DOUBLE:
        assert pv.precision == about.precision
    if name is ServicePV.DISK_FREE:
        assert (pv.lower_alarm_limit, pv.lower_warning_limit) == (2.0, 20.0)
        assert np.isnan(pv.upper_alarm_limit)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Rows.EGU", "rows"),
        ("Rows.DESC", description_of(ServicePV.ROWS)),
        ("Rows.RTYP", "longin"),
        ("Percent.PREC", 1),
        ("Percent.HOPR", 100.0),
        ("DiskFree.LOW", 20.0),
        ("State.TWST", "RECEIVING"),
        ("State.SCAN", "I/O Intr"),
        ("State.SEVR", "NO_ALARM"),
        ("File.NELM", 4096),
    ],
)
def test_fields_are_read_as_those_of_a_record(rig: Rig, field: str, value: Any) -> None:
    assert rig.service.get(field) == value


def test_field_that_there_is_not_is_searched_in_vain_and_takes_nothing_away(rig: Rig) -> None:
    assert not PV(f"{rig.service.prefix}Rows.FOO").wait_for_connection(0.5)
    assert rig.service.get("Rows.VAL") == N_ROWS


def test_silent_pvs_of_the_profile_are_told_with_an_alarm(ioc: Any, rig: Rig, pva: Context) -> None:
    """The last one here: no IOC is left."""
    severity, problem = rig.service.pv("ReadbacksLost.SEVR"), rig.service.prefix + ServicePV.READBACK_PROBLEM
    ioc.stop()
    rig.service.wait_until(lambda: severity.get(as_string=True, use_monitor=False, timeout=HANG_S) == "MINOR")
    rig.service.wait_until(lambda: "is not connected" in pva.get(problem, timeout=HANG_S))
    told: Any = pva.get(problem, timeout=HANG_S)
    assert (told.severity, told.raw["alarm.message"]) == (1, told.raw["value"])

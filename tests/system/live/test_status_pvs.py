"""The service's PVs as screens, archivers and alarm handlers find them, over CA and PVA, beside a real run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from limits import HANG_S
from p4p.client.thread import Context
from p4p.nt import NTTable
from rig import Rig, Rigs

from stream_service.run.live.beamline_monitors import followed_channels
from stream_service.settings.profile_file import load_profile
from stream_service.settings.status_table import STATUS, ServicePV, ServiceTable

N_ROWS = 5


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
        x_m, y_m = file["/entry/pos"][-1]
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
    followed = followed_channels(load_profile(rig.folder / "profile.yaml"))

    def table() -> dict[str, Any]:
        found = pva.get(rig.service.prefix + ServiceTable.READBACKS, timeout=HANG_S)
        return {line["channel"]: line for line in NTTable.unwrap(found)}

    rig.service.wait_until(lambda: all(line["connected"] for line in table().values()) and len(table()))
    lines = table()
    assert list(lines) == list(followed)
    assert (lines["x"]["pv"], lines["x"]["unit"]) == (followed["x"].pv, "um")
    assert rig.service.get("ReadbacksLost") == 0 and rig.service.get("ReadbackProblem") == ""


@pytest.mark.parametrize("pv", [pv for pv in STATUS if pv is not ServicePV.HEARTBEAT])
def test_pva_says_what_ca_says(rig: Rig, pva: Context, pv: ServicePV) -> None:
    def is_same() -> bool:
        found: Any = pva.get(rig.service.prefix + pv, timeout=HANG_S)
        on_ca = rig.service.get(pv)
        return (str(found) if pv.type.choices else found) == on_ca or found != found != on_ca

    rig.service.wait_until(is_same)  # rates, and what is free on the disk, go on

"""An exposure at a wrong energy, through a service of its own: its row says so, and nothing else of the run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rig import start_rig

from stream_service.testing.loopback import LoopbackEpics


@pytest.mark.further
def test_rows_have_the_energy_that_their_exposures_had(
    start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path: Path
) -> None:
    """In one series of exposures: the monochromator slips, and is back for the next one."""
    ioc = start_ioc("--shape", "32,48", "--photons", "1e5", "--fault-ids", "wrong_energy:4,5,9,beam_dump:7")
    with closing(start_rig(ioc.prefix, epics, tmp_path, detector={"sensor_shape": [32, 48]})) as rig:
        rig.beamline.put("cam1:ArrayCounter", 0)
        assert rig.arm("slips", n_positions=10) == ""
        rig.beamline.acquire(10, exposure_s=0.02)
        assert rig.wait_for_end() == "COMPLETE"
        rig.beamline.put("Sim:TruthFile", str(tmp_path / "truth.npz"))
        rig.beamline.put("Sim:SaveTruth", 1)
        with np.load(tmp_path / "truth.npz") as truth:
            unique_id, energy_eV, fault = truth["unique_id"], truth["energy_eV"], truth["fault"]
        with rig.open("slips") as file:
            frames = file["/entry/frames"]
            assert not frames["flags"][()].any()
            assert frames["unique_id"][:, 0].tolist() == unique_id.tolist()
            np.testing.assert_allclose(frames["energy_eV"][()], energy_eV)
        assert np.flatnonzero(energy_eV != 710.0).tolist() == [3, 4, 8]
        assert fault[6] == "beam_dump"

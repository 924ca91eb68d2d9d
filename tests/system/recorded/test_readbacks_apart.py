"""A fly scan whose positions were recorded apart from the frames: offline they are what they were live."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rig import start_rig

from stream_service.testing.loopback import LoopbackEpics

N_FRAMES = 60


@pytest.mark.further
def test_detectors_file_and_recorded_readbacks_give_the_positions_of_the_live_run(
    start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path: Path
) -> None:
    ioc = start_ioc("--shape", "24,32", "--stack", "4")
    live, raw, offline = tmp_path / "fly_std.h5", tmp_path / "fly_raw.h5", tmp_path / "offline_std.h5"
    with closing(start_rig(ioc.prefix, epics, tmp_path, detector={"sensor_shape": [24, 32]})) as rig:
        rig.record("fly", N_FRAMES)
        assert rig.arm("fly", n_positions=N_FRAMES) == ""
        rig.beamline.put("X.VELO", 20.0)
        rig.beamline.put("X", 40.0, wait=False)
        rig.beamline.acquire(N_FRAMES, exposure_s=0.005, period_s=0.01)
        rig.beamline.put("X.STOP", 1)
        assert rig.wait_for_end() == "COMPLETE"
        rig.beamline.wait_for("HDF1:Capture_RBV", "Done")
    command = [sys.executable, "-m", "stream_service.cli", "ingest", "hdf5", "--input", str(raw)]
    command += ["--output", str(offline), "--profile", str(tmp_path / "profile.yaml"), "--readbacks", str(live)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with h5py.File(live) as expected, h5py.File(offline) as found:
        assert np.ptp(expected["/entry/posx_m"][()]) > 5e-6, "the stage should have moved"
        for name in ("data", "pos", "frames/unique_id", "frames/timestamp_ns", "frames/flags", "keep"):
            np.testing.assert_array_equal(found[f"/entry/{name}"][()], expected[f"/entry/{name}"][()], err_msg=name)
        for channel in ("x", "y", "x_moving", "ring_current"):
            there = expected[f"/entry/readbacks/{channel}/value"][()]
            np.testing.assert_array_equal(found[f"/entry/readbacks/{channel}/value"][()], there)

"""An NDAttribute that no longer follows its PV, through a service of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from judged_scans import N_STEPS, rows_of, step_scan, wrong_rows
from rig import start_rig

from stream_service.core.exposure import Flag
from stream_service.testing.loopback import LoopbackEpics


def test_attribute_that_left_its_pv_behind_is_flagged(
    start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path: Path
) -> None:
    """A good attributes file, then one whose PV is misspelt: the camera says OK, and frames carry another value."""
    ioc = start_ioc("--shape", "24,32", "--stack", "4")
    channels = {
        axis.lower(): {"how": "attribute", "attribute": f"POS{axis}", "pv": f"{ioc.prefix}{axis}.RBV", "unit": "um"}
        for axis in "XY"
    }
    sources = {"POSX": "X.RBV", "POSY": "Y.RBV", "energy": "Energy_RBV"}
    good = "".join(f'<Attribute name="{name}" source="{ioc.prefix}{pv}"/>' for name, pv in sources.items())
    files = {}
    for name, text in (("good", good), ("bad", good.replace(f"{ioc.prefix}X.RBV", f"{ioc.prefix}XX.RBV"))):
        files[name] = tmp_path / f"{name}.xml"
        files[name].write_text(f"<Attributes>{text}</Attributes>", encoding="utf-8")
    with closing(start_rig(ioc.prefix, epics, tmp_path, detector={"sensor_shape": [24, 32]}, channels=channels)) as rig:
        rig.beamline.put("cam1:NDAttributesFile", str(files["good"]))
        step_scan(rig, "good")
        with rig.open("good") as file:
            assert not file["/entry/frames/flags"][()].any()
            assert wrong_rows(file, rig) == []
        rig.beamline.put("cam1:NDAttributesFile", str(files["bad"]))
        step_scan(rig, "bad")
        with rig.open("bad") as file:
            flags, _ = rows_of(file, rig)
            assert wrong_rows(file, rig) == []
            assert (flags & Flag.STALE).sum() >= N_STEPS - 1
        rig.beamline.acquire(1, exposure_s=0.2)  # while the stage stands still
        check = subprocess.run(
            [sys.executable, "-m", "stream_service.cli", "check", str(tmp_path / "profile.yaml")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert check.returncode == 1
        assert "the last frame carries POSX" in check.stdout
        assert rig.arm("next", n_positions=1) == ""
        assert "waiting for the first frame; the last frame carries POSX" in rig.service.get("Message")

"""The code in `docs/how-to/run-a-plan.md` does what the page says, on a simulated beamline."""

import re
from pathlib import Path

from fake_service import served
from ophyd.signal import EpicsSignalBase

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "run-a-plan.md"


def test_every_python_block_runs_in_order_in_one_session(epics, start_ioc, tmp_path, monkeypatch):
    # other tests have made devices already, and defaults can only be set before the first
    monkeypatch.setattr(EpicsSignalBase, "set_defaults", lambda **_: None)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    ioc_prefix = start_ioc("--shape", "24,32", "--stack", "8").prefix
    with served(epics) as service_prefix:
        session: dict[str, object] = {}
        for block in blocks:
            here = block.replace("SIM:", ioc_prefix).replace("PTYCHO:", service_prefix)
            exec(here.replace("/data/raw", str(tmp_path)), session)
    assert {path.name for path in tmp_path.iterdir()} == {
        "shell_1_raw.h5",
        "shell_corners_raw.h5",
        "dark_10ms.h5",
        "dark_dark_10ms_raw.h5",
        "shell_raster_raw.h5",
        "shell_stack_000_705.0eV_raw.h5",
        "shell_stack_001_712.0eV_raw.h5",
        "shell_fly_raw.h5",
        "still_raw.h5",
    }

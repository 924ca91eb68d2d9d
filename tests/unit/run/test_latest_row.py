"""The latest row in numbers: what has no flag beside it is told only if it can be trusted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_service.core.exposure import Flag
from stream_service.core.row import RowBlock
from stream_service.run.rows.latest_row import LatestRow


@pytest.mark.parametrize(
    ("flags", "keep", "has_position", "has_energy"),
    [
        (Flag.NONE, 1, True, True),
        (Flag.UNBRACKETED, 0, False, False),
        (Flag.STALE, 1, True, False),
        (Flag.SPREAD, 1, False, True),
        (Flag.MOVING, 0, False, True),
    ],
)
def test_what_is_flagged_is_not_told_as_if_it_were_known(
    flags: Flag, keep: int, has_position: bool, has_energy: bool
) -> None:
    block = RowBlock((2, 2), 1)
    rows, _ = block.next_rows(1)
    rows["x_m"], rows["y_m"], rows["energy_eV"], rows["flags"], rows["keep"] = 1e-6, 2e-6, 700.0, flags, keep
    block.append(1)
    latest = LatestRow(lambda: 0.0)
    latest.append(block)
    latest.flush()
    told = latest.status
    np.testing.assert_equal((told.x_m, told.y_m), (1e-6, 2e-6) if has_position else (math.nan, math.nan))
    np.testing.assert_equal(told.energy_eV, 700.0 if has_energy else math.nan)

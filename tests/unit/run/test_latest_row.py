"""The latest row in numbers: what has no flag beside it is told only if it can be trusted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_service.core.exposure import Flag
from stream_service.core.row import RowBlock
from stream_service.run.rows.latest_row import LatestRow


@pytest.mark.parametrize(("flags", "keep", "is_told"), [(0, 1, True), (int(Flag.UNBRACKETED), 0, False)])
def test_position_of_a_flagged_row_is_not_told_as_if_it_were_known(flags: int, keep: int, is_told: bool) -> None:
    block = RowBlock((2, 2), 1)
    rows, _ = block.next_rows(1)
    rows["x_m"], rows["y_m"], rows["flags"], rows["keep"] = 1e-6, 2e-6, flags, keep
    block.append(1)
    latest = LatestRow(lambda: 0.0)
    latest.append(block)
    latest.flush()
    told = latest.status
    np.testing.assert_equal((told.x_m, told.y_m), (1e-6, 2e-6) if is_told else (math.nan, math.nan))

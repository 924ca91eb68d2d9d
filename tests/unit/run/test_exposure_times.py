"""Exposure times of a run, by the detector's PV and by its frames."""

from __future__ import annotations

import math
from pathlib import Path

import corpus
import numpy as np
import pytest
from scripted_run import Bench

from stream_service.core.run import RunState


@pytest.mark.parametrize("exposure_s", [1e300, math.inf])
@pytest.mark.parametrize("is_of_frame", [False, True])
def test_one_that_no_frame_has_is_not_known_and_ends_nothing(
    tmp_path: Path, exposure_s: float, is_of_frame: bool
) -> None:
    bench = Bench(tmp_path, n_positions=2)
    messages = [corpus.Message(n, np.full(48, n, np.uint16), nanoseconds=n * 10**6) for n in (1, 2)]
    if is_of_frame:
        for message in messages:
            message.attributes.append((bench.profile.detector.exposure_attribute, exposure_s))
    else:
        bench.detector.exposure_s = exposure_s
    bench.play(iter([[message.build()] for message in messages]), bench.exposed(2), bench.settles(), bench.stop)
    assert bench.run.state is RunState.COMPLETE, bench.run.message

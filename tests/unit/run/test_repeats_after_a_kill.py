"""Repeats of a run whose service was killed: rows of before come behind new ones, and nothing depends on that."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from judged import rows_of
from killed_run import go_on, killed
from scripted_run import Bench, ScriptedSources, frames

from stream_service.core.exposure import Flag
from stream_service.core.partition import ByIndex
from stream_service.core.run import RunState
from stream_service.run.live.resumed_setup import ResumedSetup
from stream_service.run.rows.planned_rows import PlannedRows
from stream_service.run.run import Run
from stream_service.standard_file import validate_file

RUN = {"n_positions": 4, "extra_frames": 3}
AT_M = {"planned_x_m": (-3e-6,) * 4, "planned_y_m": (4e-6,) * 4}
"""Where the beam is on the sample while the scripted stage rests."""
REPEATED = (1, 3, 1, 1)
TAKEN_AT = np.array([0, 1, 2, 3, *REPEATED])
"""Position of each exposure, the repeats behind the scan."""


@pytest.mark.further(but=1)
@pytest.mark.parametrize("plan", [AT_M, {}])
def test_position_repeated_before_and_after_a_kill_is_used_once(tmp_path: Path, plan: dict[str, object]) -> None:
    before = Bench(tmp_path, **RUN, **plan)
    unfinished = killed(before, 4, *before.settles(), lambda: before.run.repeat([1]), frames([5]))
    bench = Bench(tmp_path, **RUN, **plan)
    bench.sources = ScriptedSources(bench.profile, bench.beamline)
    bench.run = Run(ResumedSetup(bench.profile, unfinished, bench.sources), bench.sources, bench.clock)
    # the new frames are there before the rows of before have been read, as a rule
    go_on(bench, lambda: bench.run.repeat([1, 1, 2]), frames([6, 7]), bench.exposed(7), bench.stop)
    assert bench.run.state is RunState.COMPLETE, bench.run.message
    with bench.file() as file:
        ids = file["/entry/frames/unique_id"][:, 0].tolist()
        keep, planned, replaces = (
            dict(zip(ids, file[path][()].tolist(), strict=True))
            for path in ("/entry/keep", "/entry/frames/planned", "/entry/frames/replaces")
        )
    assert sorted(ids) == list(range(1, 8))
    assert keep == {1: 1, 2: 0, 3: 0, 4: 1, 5: 0, 6: 1, 7: 1}
    assert planned == {1: 0, 2: 1, 3: 2, 4: 3, 5: 1, 6: 1, 7: 2}
    assert {n: ids[row] for n, row in replaces.items() if row >= 0} == {5: 2, 6: 5, 7: 3}
    assert [finding for finding in validate_file(bench.run.setup.path) if finding.level == "error"] == []


@pytest.mark.parametrize("is_planned", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_which_row_repeats_which_does_not_depend_on_their_order(seed: int, is_planned: bool) -> None:
    chance = random.Random(seed)
    plan_m = np.column_stack([np.arange(4) * 1e-6, np.zeros(4)]) if is_planned else None
    planned = PlannedRows(ByIndex(1), 1, 4, len(REPEATED), plan_m)
    planned.announce(REPEATED)
    ordinals = chance.sample(range(len(TAKEN_AT)), len(TAKEN_AT))
    is_bad = np.array([chance.random() < 0.2 and (is_planned or n > 3) for n in range(len(TAKEN_AT))])
    is_doubted = np.array([chance.random() < 0.2 for _ in TAKEN_AT])
    for row, ordinal in enumerate(ordinals):
        position, flags = TAKEN_AT[ordinal], Flag.MISSING if is_bad[ordinal] else Flag.NONE
        rows = rows_of(1, planned=position, x_m=position * 1e-6, keep=not is_bad[ordinal], flags=flags)
        (planned.enter if chance.random() < 0.5 else planned.restore)(rows, np.array([ordinal]), row)
        if chance.random() < 0.5:
            planned.take_replaced()
    planned.doubt([row for row, ordinal in enumerate(ordinals) if is_doubted[ordinal]])
    settled = planned.settle()
    assert settled is not None
    of_row = TAKEN_AT[ordinals]
    assert settled.n_elsewhere == 0
    for position in range(4):
        good = [n for n in np.flatnonzero(position == TAKEN_AT).tolist() if not (is_bad | is_doubted)[n]]
        assert [ordinals[row] for row in settled.used if of_row[row] == position] == good[-1:]
        assert sorted(ordinals[row] for row in settled.left_out if of_row[row] == position) == good[:-1]
    named = settled.replaces >= 0
    assert (of_row[settled.replaces[named]] == of_row[named]).all()
    assert not set(planned.take_replaced()) & set(settled.used)

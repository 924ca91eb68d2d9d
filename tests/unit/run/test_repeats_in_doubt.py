"""A repeat that turns out at the end of the run not to be trusted: the exposure it replaced is used again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import corpus
import numpy as np
import pytest
from killed_run import go_on, killed
from scripted_arrays import by_index
from scripted_run import Bench, ScriptedSources, frame

from stream_service.core.exposure import Flag
from stream_service.core.pairing.readback import Entries
from stream_service.run.live.resumed_setup import ResumedSetup
from stream_service.run.run import Run
from stream_service.standard_file import validate_file

PLAN = {"planned_x_m": (0.0, -1e-6, -2e-6, -3e-6), "planned_y_m": (0.0, -1e-6, -2e-6, -3e-6)}
ENTRIES_UM = [0.0, 1, 2, 3, 1, 1, 1]
SECONDS = [1.0, 2.2, 3.7, 4.9, 6.3, 7.4, 7.41]
"""When they were captured. A spurious one is so close behind the last that either may be that of the last frame."""
LAST = 6


def bench_of(folder: Path) -> Bench:
    bench = Bench(folder, at_rest={"ring_current": 200.0}, n_positions=4, extra_frames=3, **PLAN)
    bench.profile = by_index(folder, times={"pv": "PANDA:T", "dataset": "/T"})
    bench.prepare(bench.profile)
    return bench


def tell(bench: Bench, n: int) -> Callable[[], None]:
    """There are so many entries by now."""

    def happen() -> None:
        bench.sources.readbacks.events += [Entries(axis, np.array(ENTRIES_UM[:n])) for axis in "xy"]
        bench.sources.readbacks.events += [Entries("x_times", np.array(SECONDS[:n]))]

    return happen


def triggered(*ids: int) -> list[object]:
    return [frame(n, seconds=corpus.STAMP_S + SECONDS[n - 1] - 0.001 * n) for n in ids]  # to which corpus adds its own


def check(bench: Bench, *, used: set[int], replaced: dict[int, int]) -> None:
    """`used` are the ids of frames, `replaced` those that others replace."""
    with bench.file() as file:
        ids, keep = file["/entry/frames/unique_id"][:, 0].tolist(), file["/entry/keep"][()]
        flags, replaces = (file[f"/entry/frames/{name}"][()] for name in ("flags", "replaces"))
    assert {ids[row] for row in np.flatnonzero(keep)} == used, bench.run.message
    assert {ids[row]: ids[replaces[row]] for row in np.flatnonzero(replaces >= 0)} == replaced
    assert [Flag(int(flags[ids.index(n)])) for n in (LAST - 1, LAST)] == [Flag.NONE, Flag.UNMATCHED]
    assert [finding.where for finding in validate_file(bench.run.setup.path)] == ["/entry/frames/flags"]


@pytest.mark.parametrize("is_flushed", [True, False])
def test_position_of_a_doubted_repeat_has_the_row_exposed_before(tmp_path: Path, is_flushed: bool) -> None:
    bench = bench_of(tmp_path)
    script = [tell(bench, LAST), triggered(1, 2, 3, 4), *bench.settles(), lambda: bench.run.repeat([1, 1])]
    script += [triggered(5, 6), bench.exposed(LAST), *(bench.settles() if is_flushed else ())]
    bench.play(*script, tell(bench, LAST + 1), bench.stop)
    check(bench, used={1, 3, 4, 5}, replaced={5: 2})


def test_row_of_before_a_kill_that_a_doubted_repeat_had_replaced_is_used_again(tmp_path: Path) -> None:
    before = bench_of(tmp_path)
    scan = (tell(before, LAST), triggered(1, 2, 3, 4), *before.settles(), lambda: before.run.repeat([1, 1]))
    unfinished = killed(before, 0, *scan, triggered(5, 6))
    bench = bench_of(tmp_path)
    bench.sources = ScriptedSources(bench.profile, bench.beamline)
    bench.run = Run(ResumedSetup(bench.profile, unfinished, bench.sources), bench.sources, bench.clock)
    go_on(bench, tell(bench, LAST + 1), bench.exposed(LAST), bench.settles(), bench.stop)
    check(bench, used={1, 3, 4, 5}, replaced={5: 2})

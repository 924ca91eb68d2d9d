"""The next capture fills a hardware-captured array while a run is not over: nothing of it is used, no row is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import corpus
import h5py
import numpy as np
import pytest
from killed_run import go_on, killed
from scripted_arrays import by_index
from scripted_run import Bench, ScriptedSources, frame, frames

from stream_service.core.exposure import Flag
from stream_service.core.pairing.readback import Entries
from stream_service.core.run import RunState
from stream_service.run.live.resumed_setup import ResumedSetup
from stream_service.run.run import Run

N = 4
BEFORE_UM = [0.0, 1.0, 2.0, 3.0]
TIMES = {"times": {"pv": "PANDA:T", "dataset": "/T"}}


def bench_of(folder: Path, n: int, **more: object) -> Bench:
    bench = Bench(folder, at_rest={"ring_current": 200.0}, n_positions=n)
    bench.profile = by_index(folder, **more)
    bench.prepare(bench.profile)
    return bench


def tell(bench: Bench, entries: Sequence[float], times_s: Sequence[float] | None = None) -> Callable[[], None]:
    def happen() -> None:
        bench.sources.readbacks.events += [Entries(axis, np.array(entries)) for axis in "xy"]
        if times_s is not None:
            bench.sources.readbacks.events += [Entries("x_times", np.array(times_s))]

    return happen


def used(path: Path) -> dict[int, float]:
    """Position of the stage in micrometres by uniqueId, of the rows that are used; all others are flagged."""
    with h5py.File(path) as file:
        ids, keep = file["/entry/frames/unique_id"][:, 0], file["/entry/keep"][()] != 0
        assert (file["/entry/frames/flags"][()][~keep] != Flag.NONE).all()
        return dict(zip(ids[keep].tolist(), np.round(-1e6 * file["/entry/posx_m"][keep], 6).tolist(), strict=True))


@pytest.mark.parametrize(
    ("later_um", "are_used"),
    [
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], {1, 2, 3, 4, 5, 6}),
        ([10.0, 11.0, 12.0, 13.0, 14.0, 15.0], {1, 2, 3, 4}),
        ([0.0, 1.0, 12.0, 13.0, 14.0, 15.0], {1, 2}),
        ([10.0, 11.0], {1, 2, 3, 4}),
    ],
    ids=["the same", "another one", "the places have changed", "another one that is shorter"],
)
def test_run_that_goes_on_after_a_kill_uses_nothing_of_another_capture(
    tmp_path: Path, later_um: list[float], are_used: set[int]
) -> None:
    before = bench_of(tmp_path, N + 2)
    unfinished = killed(before, N, tell(before, BEFORE_UM), before.settles())
    bench = bench_of(tmp_path, N + 2)
    bench.sources = ScriptedSources(bench.profile, bench.beamline)
    bench.run = Run(ResumedSetup(bench.profile, unfinished, bench.sources), bench.sources, bench.clock)
    go_on(bench, tell(bench, later_um), frames([5, 6]), bench.exposed(6))
    assert used(bench.run.setup.path) == {n: n - 1.0 for n in are_used}, bench.run.message


@pytest.mark.parametrize("more", [{}, TIMES])
def test_next_capture_that_begins_while_the_run_drains_costs_no_row(tmp_path: Path, more: dict[str, object]) -> None:
    bench = bench_of(tmp_path, N + 1, **more)
    times_s = [1.0, 2.3, 3.9, 5.1]
    came = [[frame(n, seconds=corpus.STAMP_S + times_s[n - 1] - 0.001 * n)] for n in range(1, N + 1)]
    next_one = [tell(bench, [], []), tell(bench, [7.0], [0.3]), tell(bench, [7.0, 8.0], [0.3, 0.4])]
    bench.play(tell(bench, BEFORE_UM, times_s), *came, *bench.settles(), bench.exposed(N), bench.stop, *next_one)
    assert bench.run.state is RunState.INCOMPLETE
    assert used(bench.run.setup.path) == {n: n - 1.0 for n in range(1, N + 1)}, bench.run.message

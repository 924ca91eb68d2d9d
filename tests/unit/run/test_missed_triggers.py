"""Runs whose hardware missed triggers, or had some too many: a position is that of its frame, or its row is flagged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import corpus
import h5py
import numpy as np
import pytest
from scripted_arrays import by_index
from scripted_run import Bench, frame

from stream_service.core.exposure import Flag
from stream_service.core.pairing.readback import Entries
from stream_service.run.live.resumed_setup import ResumedSetup
from stream_service.run.live.unfinished_run import UnfinishedRun, unfinished_journals
from stream_service.run.recorded.ingest import ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.run import Run
from stream_service.settings.profile import Profile
from stream_service.testing.memory_recording import START_NS, MemoryRecording, frames_of

N = 24
TIMES = {"times": {"pv": "PANDA:T", "dataset": "/PCAP.TS_TRIG.Value"}}
RATES = {
    "constant": np.arange(1.0, N + 1),
    "uneven": np.cumsum(np.random.default_rng(3).uniform(1.0, 2.0, N)),
}
"""Seconds at which triggers come, by how."""
FIRST, LAST, ONE, SOME, EXTRA = "first", "last", "one", "some", "extra"
MISSED: dict[str, tuple[int, ...]] = {"none": (), FIRST: (0,), LAST: (N - 1,), ONE: (9,), SOME: (5, 6, 15)}


class Captured:
    """What hardware has of triggers: entry n is that of trigger n, in micrometres, unless it was missed."""

    def __init__(self, rate: str, missed: Sequence[int] = (), extra_s: float | None = None) -> None:
        self.seconds = RATES[rate]
        entries = [(s, float(n)) for n, s in enumerate(self.seconds.tolist()) if n not in missed]
        self.entries = sorted(entries + ([] if extra_s is None else [(extra_s, 99.0)]))

    def until(self, seconds: float) -> list[Entries]:
        """The arrays as they are at this moment."""
        told = np.array([entry for entry in self.entries if entry[0] <= seconds]).reshape(-1, 2)
        return [*(Entries(axis, told[:, 1].copy()) for axis in "xy"), Entries("x_times", told[:, 0] - 0.7)]


def profile_of(folder: Path, *, has_times: bool = True) -> Profile:
    return by_index(folder, **(TIMES if has_times else {"may_end_apart": False}))


def triggered(n: int, seconds: float) -> Any:
    """The frame of trigger `n`."""
    return frame(n + 1, seconds=corpus.STAMP_S + seconds - 0.001 * (n + 1))  # to which corpus adds its own


def play(
    bench: Bench,
    captured: Captured,
    lost: Sequence[int] = (),
    kill: Callable[[], None] | None = None,
    after_s: float = 0.0,
) -> Run:
    """A live run of frames that come when they were triggered, as the entries of the hardware do after `after_s`."""
    first = bench.clock.now_s

    def tell() -> None:
        if bench.clock.now_s - first > after_s:
            bench.sources.readbacks.events += captured.until(bench.clock.now_s - first)

    script: list[Any] = []
    passed = 0.0
    for n, seconds in enumerate(captured.seconds.tolist()):
        script += [bench.waits(seconds - passed), tell]
        passed = seconds
        if n not in lost:
            script.append([triggered(n, seconds)])
    script += [bench.waits(0.5), tell, *[bench.waits(2.0)] * 4, *bench.settles(), bench.exposed(N)]
    script += [bench.stop] if kill is None else [kill, bench.stop]
    return bench.play(*script)


def used(path: Path) -> dict[int, float]:
    """Position of the stage in micrometres by uniqueId, of the rows that are used: each frame once."""
    with h5py.File(path) as file:
        ids, keep = file["/entry/frames/unique_id"][:, 0], file["/entry/keep"][()] != 0
        rows = list(zip(ids[keep].tolist(), np.round(-1e6 * file["/entry/posx_m"][keep], 6).tolist(), strict=True))
    assert len(rows) == len(dict(rows))
    return dict(rows)


def flags(path: Path) -> dict[int, Flag]:
    """Of the last row of each frame."""
    with h5py.File(path) as file:
        ids = file["/entry/frames/unique_id"][:, 0].tolist()
        return dict(zip(ids, map(Flag, file["/entry/frames/flags"][()].tolist()), strict=True))


def recorded(folder: Path, captured: Captured, lost: Sequence[int] = (), *, has_times: bool = True) -> Path:
    """The same scan as a recording, with the file of the hardware beside it."""
    there = [n for n in range(N) if n not in lost]
    recording = MemoryRecording(
        frames_of(len(there)),
        [{"energy": 700.0}] * len(there),
        rules=(),
        ids=[n + 1 for n in there],
        stamps_ns=[START_NS + round(captured.seconds[n] * 1e9) for n in there],
        n_exposed=N,
    )
    arrays = tuple(captured.until(np.inf))[: 3 if has_times else 2]
    settings = IngestSettings(profile=profile_of(folder, has_times=has_times), arrays=arrays, first_unique_id=1)
    ingest(recording, folder / "out.h5", settings)
    return folder / "out.h5"


def expected(rate: str, missed: str) -> set[int]:
    """Triggers whose frames are used."""
    if rate == "constant" and missed in (FIRST, LAST):
        return set()
    return set(range(N)) - set(MISSED[missed])


def bench_of(folder: Path, *, has_times: bool = True, frames_per_row: int = 1) -> Bench:
    bench = Bench(
        folder, at_rest={"ring_current": 200.0}, n_positions=N // frames_per_row, frames_per_position=frames_per_row
    )
    profile = profile_of(folder, has_times=has_times).model_dump()
    profile["preprocessing"] |= {"grouping": "mean" if frames_per_row > 1 else "none", "allow_spread": True}
    bench.profile = Profile.model_validate(profile)
    bench.prepare(bench.profile)
    return bench


@pytest.mark.parametrize("missed", MISSED)
@pytest.mark.parametrize("rate", RATES)
def test_frames_after_a_missed_trigger_have_their_own_entries_live_and_recorded(
    tmp_path: Path, rate: str, missed: str
) -> None:
    captured = Captured(rate, MISSED[missed])
    lost = (12,)
    rows = {n + 1: float(n) for n in expected(rate, missed) - set(lost)}
    run = play(bench_of(tmp_path), captured, lost)
    assert used(run.setup.path) == rows, run.message
    told = flags(run.setup.path)
    path = recorded(tmp_path, captured, lost)
    assert used(path) == rows
    unflagged = {n for n, flag in told.items() if not flag}
    assert unflagged == set(rows) == {n for n, flag in flags(path).items() if not flag}
    if missed in (ONE, SOME):
        assert all(flags(path)[n + 1] & (Flag.MISSING | Flag.UNMATCHED) for n in MISSED[missed])


def test_row_of_an_axis_at_zero_is_right_on_a_stage_that_is_turned(tmp_path: Path) -> None:
    """The position went to the sample and back, by way of an axis that is far from zero."""
    captured = Captured("uneven")
    profile = profile_of(tmp_path)
    bench = bench_of(tmp_path)
    bench.profile = profile.model_copy(update={"stage_map": ((-0.87, 0.48), (0.475, 0.878))})
    bench.prepare(bench.profile)
    until = captured.until

    def far_out(seconds: float) -> list[Entries]:
        x, y, times = until(seconds)
        return [Entries("x", 0.0 * x.values), Entries("y", 29_000.0 + 0.137 * y.values), times]

    captured.until = far_out  # type: ignore[method-assign]
    run = play(bench, captured)
    assert len(used(run.setup.path)) == N, run.message


@pytest.mark.parametrize("rate", RATES)
def test_array_that_comes_after_the_scan_puts_all_rows_right_but_that_of_the_missed_trigger(
    tmp_path: Path, rate: str
) -> None:
    captured = Captured(rate, MISSED[SOME])
    run = play(bench_of(tmp_path), captured, after_s=float(captured.seconds[-1]))
    assert used(run.setup.path) == {n + 1: float(n) for n in expected(rate, SOME)}, run.message
    assert "3 frames have no entry in the arrays of x and y" in run.message


def test_row_of_several_frames_is_flagged_if_the_trigger_of_one_was_missed(tmp_path: Path) -> None:
    captured = Captured("uneven", MISSED[ONE])
    run = play(bench_of(tmp_path, frames_per_row=2), captured)
    assert used(run.setup.path) == {2 * n + 1: 2 * n + 0.5 for n in range(N // 2) if n != 4}, run.message


def test_mean_of_a_row_is_not_taken_for_the_entry_of_one_of_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they come, each frame seems to have the entry of the next one: the mean of three is that of the last."""
    monkeypatch.setitem(RATES, "lines", np.cumsum(np.where(np.arange(N) % 10 == 9, 4.0, 1.0)))
    run = play(bench_of(tmp_path, frames_per_row=3), Captured("lines", MISSED[FIRST]))
    assert used(run.setup.path) == {}, run.message
    assert "8 rows are flagged unmatched at the end" in run.message


@pytest.mark.parametrize("where", ["between two", "before the first"])
def test_spurious_trigger_shifts_no_frame(tmp_path: Path, where: str) -> None:
    seconds = RATES["uneven"]
    extra_s = 0.5 * (seconds[7] + seconds[8]) if where == "between two" else 0.45
    captured = Captured("uneven", extra_s=extra_s)
    rows = {n + 1: float(n) for n in range(N)}
    run = play(bench_of(tmp_path), captured)
    assert used(run.setup.path) == rows == used(recorded(tmp_path, captured)), run.message
    assert "1 entry of the arrays of x and y belongs to no frame" in run.message


@pytest.mark.parametrize(("missed", "extra_s"), [((9,), None), ((), 7.5), ((), 0.2), ((N - 1,), None)])
def test_count_that_is_not_that_of_the_frames_flags_every_row(
    tmp_path: Path, missed: Sequence[int], extra_s: float | None
) -> None:
    captured = Captured("uneven", missed, extra_s)
    run = play(bench_of(tmp_path, has_times=False), captured)
    assert used(run.setup.path) == {} == used(recorded(tmp_path, captured, has_times=False))
    assert all(flag & Flag.UNMATCHED for flag in flags(run.setup.path).values()), run.message
    assert "all rows are flagged unmatched" in run.message
    assert f"the arrays of x and y have {len(captured.entries)} entries for {N} frames" in run.message
    assert "belong to frames" not in run.message, "nobody knows which"


@pytest.mark.parametrize(("n_entries", "says"), [(N - 3, "ended early"), (N + 3, "went on longer")])
def test_capture_that_ends_apart_is_usual_and_told(tmp_path: Path, n_entries: int, says: str) -> None:
    captured = Captured("constant")
    captured.entries = [(s, float(n)) for n, s in enumerate(np.linspace(1.0, N, n_entries).tolist())]
    bench = Bench(tmp_path, at_rest={"ring_current": 200.0}, n_positions=N)
    bench.profile = by_index(tmp_path)
    bench.prepare(bench.profile)
    run = play(bench, captured)
    assert used(run.setup.path) == {n + 1: float(n) for n in range(min(n_entries, N))}
    numbers = f"the arrays of x and y have {n_entries} entries for {N} frames that were exposed"
    assert run.message.count(f"{numbers}: taken for a capture that {says}") == 1


@pytest.mark.parametrize("has_times", [True, False])
@pytest.mark.parametrize("missed", [ONE, FIRST])
def test_run_that_goes_on_after_a_kill_has_the_same_rows(tmp_path: Path, missed: str, has_times: bool) -> None:
    captured = Captured("uneven", MISSED[missed])
    first = bench_of(tmp_path, has_times=has_times)
    left: dict[Path, bytes] = {}

    def kill() -> None:
        first.file_is_written()
        left.update((path, path.read_bytes()) for path in (first.run.setup.path, *unfinished_journals(first.profile)))

    first.request = first.request.model_copy(update={"n_positions": N + 3})
    first.prepare(first.profile)
    play(first, captured, kill=kill)
    for path, content in left.items():
        path.write_bytes(content)
    again = bench_of(tmp_path, has_times=has_times)
    (journal,) = unfinished_journals(again.profile)
    unfinished = UnfinishedRun.read(journal)
    again.sources.begin = unfinished.armed.series.to_core  # type: ignore[method-assign]
    setup = ResumedSetup(again.profile, unfinished, again.sources)
    again.run = Run(setup, again.sources, again.clock)
    again.detector.shown = N
    end_s = float(captured.seconds[-1])
    captured.entries += [(end_s + n, float(N - 1 + n)) for n in (1, 2, 3)]

    def tell() -> None:
        again.sources.readbacks.events += captured.until(np.inf)

    more = [[triggered(N - 1 + n, end_s + n)] for n in (1, 2, 3)]
    run = again.play(tell, *again.settles(), *more, tell, *again.settles(), again.exposed(N + 3), again.stop)
    n_used = set(range(N + 3)) - set(MISSED[missed]) if has_times else set()
    assert used(setup.path) == {n + 1: float(n) for n in n_used}, run.message

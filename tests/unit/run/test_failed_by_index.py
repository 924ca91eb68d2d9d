"""A run that fails with positions by index: what they were told to be as frames came is checked before it ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
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
from stream_service.core.run import RunState
from stream_service.standard_file.schema.columns import GrowingColumn

N = 5


def bench_of(folder: Path, **request: Any) -> Bench:
    bench = Bench(folder, at_rest={"ring_current": 200.0}, n_positions=2 * N, **request)
    bench.profile = by_index(folder, times={"pv": "PANDA:T", "dataset": "/T"})
    bench.prepare(bench.profile)
    return bench


def fails(bench: Bench, tmp_path: Path, what: Callable[[Path], object], *, first_captured: int) -> Path:
    """Its file, once it has failed by this; triggers at a constant rate were captured from one on."""

    def tell(n: int) -> Callable[[], None]:
        def happen() -> None:
            captured = np.arange(first_captured, n, dtype=float)
            bench.sources.readbacks.events += [Entries(axis, captured.copy()) for axis in "xy"]
            bench.sources.readbacks.events += [Entries("x_times", 1.0 + captured)]

        return happen

    first, more = (
        [[frame(n, seconds=corpus.STAMP_S + n - 0.001 * n)] for n in ids] for ids in ((1, 2, 3, 4, 5), (6, 7))
    )
    happens = (*bench.settles(), bench.file_is_written, lambda: what(run_path(bench)))
    run = bench.play(tell(N), *first, *happens, tell(N + 2), *more, *bench.settles(), *bench.settles())
    assert run.state is RunState.FAILED
    return next(iter(tmp_path.glob("*.rescued.h5")), run_path(bench))


def run_path(bench: Bench) -> Path:
    return bench.run.setup.path


def breaks(path: Path) -> None:
    raise RuntimeError("a defect")


@pytest.mark.parametrize("what", [Path.unlink, breaks])
def test_rows_that_the_whole_does_not_tell_are_flagged(tmp_path: Path, what: Callable[[Path], object]) -> None:
    """Every row has the position of its neighbour: the first trigger was missed, and that was not seen as they came."""
    bench = bench_of(tmp_path)
    with h5py.File(fails(bench, tmp_path, what, first_captured=1)) as file:
        assert (file["/entry/frames/flags"][()] == Flag.UNMATCHED).all() and len(file["/entry/keep"]) >= N - 1
        assert not file["/entry/keep"][()].any()
    assert "flagged unmatched at the end" in bench.run.message


@pytest.mark.parametrize("what", [Path.unlink, breaks])
def test_rows_that_are_right_are_used(tmp_path: Path, what: Callable[[Path], object]) -> None:
    bench = bench_of(tmp_path)
    with h5py.File(fails(bench, tmp_path, what, first_captured=0)) as file:
        assert file["/entry/keep"][()].tolist() == [1] * N, bench.run.message
        np.testing.assert_allclose(-1e6 * file["/entry/posx_m"][()], np.arange(N), atol=1e-9)


def test_file_that_takes_nothing_any_more_says_that_nothing_was_checked(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def dies(path: Path) -> None:
            for name in ("_write", "_extend", "write_chunks"):
                patch.setattr(GrowingColumn, name, refuse)

        path = fails(bench, tmp_path, dies, first_captured=1)
    said = "the positions in it could not be checked as a whole"
    assert said in bench.run.message
    with h5py.File(path, swmr=True) as file:
        assert said in file["/entry/run/message"][()].decode()

"""A run that has ended frees its arrays at once: they do not wait for Python's collector, which counts no bytes.

A full collection comes after tens of thousands of new objects, a run leaves a few dozen: with frames of 4 megapixels,
thousands of runs would keep one of them each.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from limits import HANG_S
from scripted_run import Bench, frame, frames

from stream_service.core.run import RunState


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def disarm(bench: Bench) -> None:
    bench.run.arm()
    bench.run.disarm()


def abort_in_its_thread(bench: Bench) -> None:
    bench.run.arm()
    bench.run.start()
    bench.run.abort()
    assert bench.run.join(HANG_S)


def complete(bench: Bench) -> None:
    assert bench.play(frames([1, 2])).state is RunState.COMPLETE


def fail(bench: Bench) -> None:
    run = weakref.proxy(bench.run)  # the script is one of its parts

    def breaks() -> None:
        run.out.file.call(lambda file: file.close())

    assert bench.play(frames([1]), breaks, frames([2])).state is RunState.FAILED


@pytest.mark.further(but=2)
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("end", [disarm, abort_in_its_thread, complete, fail])
def test_run_that_has_ended_is_no_garbage(tmp_path: Path, end: Callable[[Bench], None]) -> None:
    bench = Bench(tmp_path, latest_before=frame(0), n_positions=2)
    end(bench)
    parts = [bench.run, bench.run.setup, bench.run.setup._reducer]
    freed = [weakref.ref(part) for part in parts]
    del bench, parts
    assert [reference() for reference in freed] == [None] * 3

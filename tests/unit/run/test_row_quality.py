"""Rows are judged while they come, and once more at the end: what the file says is what an evaluation of it says."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from limits import HANG_S

from stream_service.core.exposure import Flag
from stream_service.core.reason import Reason
from stream_service.core.row import RowBlock
from stream_service.core.run import EndReason, RunOutcome, RunState
from stream_service.kernels import measure_rows
from stream_service.qc import Evaluator, Verdicts
from stream_service.qc.evaluator import WINDOWS
from stream_service.qc.windows import Windows
from stream_service.run.rows.row_quality import RowQuality, stored_verdicts
from stream_service.settings.quality import QualitySettings

SHAPE = (32, 32)
N = 300
DUMPED = (50, 120, 299)
"""Rows that have lost most of their light."""


def blocks(sizes: list[int]) -> list[RowBlock]:
    """A raster of `N` rows, of which some have lost their light, in blocks of these sizes, turn by turn."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    pattern = 400 * np.exp(-4 * (x**2 + y**2))
    made, n_made, turn = [], 0, 0
    while n_made < N:
        n = min(sizes[turn % len(sizes)], N - n_made)
        block = RowBlock(SHAPE, 1, n)
        rows, pixels = block.next_rows(n)
        for i in range(n):
            row = n_made + i
            pixels[i] = rng.poisson(pattern * (0.2 if row in DUMPED else 1.0))
            rows["x_m"][i], rows["y_m"][i] = row % 20 * 1e-6, row // 20 * 1e-6
        measure_rows(pixels, np.ones(SHAPE, bool), rows["features"])
        rows["features"]["n_saturated"] = 0
        rows["keep"] = 1
        block.append(n)
        made.append(block)
        n_made, turn = n_made + n, turn + 1
    return made


MANY = Windows(segment=64, before=40, after=40, warm_up=100)


class Told:
    """A follower that remembers what it is told."""

    def __init__(self) -> None:
        self.rows: list[weakref.ref[np.ndarray[Any, Any]]] = []
        self.n_rows = 0
        self.judgements: list[tuple[int, int, bool]] = []
        """First row and the one after the last, and whether they are final."""
        self.has_come, self.has_begun, self.has_rested = (threading.Event() for _ in range(3))

    def add(self, rows: np.ndarray[Any, Any]) -> None:
        self.rows.append(weakref.ref(rows))
        self.n_rows += len(rows)
        self.has_come.set()

    def judged(self, verdicts: Verdicts, *, is_final: bool) -> None:
        self.judgements.append((verdicts.first, verdicts.last, is_final))
        self.has_begun.set()
        if verdicts.first == 0 and verdicts.last == N:
            self.has_rested.set()


def evaluator(windows: Windows = WINDOWS) -> Evaluator:
    return Evaluator(QualitySettings(), SHAPE, windows=windows)


def at_once(windows: Windows = WINDOWS) -> Verdicts:
    """What an evaluation of all rows says."""
    afterwards = evaluator(windows)
    for block in blocks([N]):
        afterwards.add(block.rows)
    return afterwards.verdicts()


@pytest.mark.further(but=3)
@pytest.mark.parametrize("is_followed", [False, True])
@pytest.mark.parametrize(("sizes", "windows"), [([1], WINDOWS), ([64], MANY), ([7, 1, 30], MANY), ([N], WINDOWS)])
def test_verdicts_at_the_end_are_those_of_an_evaluation_afterwards(
    sizes: list[int], windows: Windows, is_followed: bool
) -> None:
    quality = RowQuality(evaluator(windows), is_followed=is_followed)
    table: np.ndarray[Any, Any] = np.zeros(0, stored_verdicts(at_once()).dtype)
    told = Told()
    quality.let_follow(told)
    for block in blocks(sizes):
        quality.append(block)
        for verdicts in quality.take():
            table = np.concatenate([table[: verdicts.first], stored_verdicts(verdicts), table[verdicts.last :]])
    quality.end()
    for verdicts in quality.take():
        table = np.concatenate([table[: verdicts.first], stored_verdicts(verdicts), table[verdicts.last :]])
    np.testing.assert_array_equal(table, stored_verdicts(at_once(windows)))
    final = [row for first, last, is_final in told.judgements if is_final for row in range(first, last)]
    assert final == list(range(N)), "each is final once, in the order of the rows"
    assert sorted(np.flatnonzero(at_once().is_rejected)) == list(DUMPED)
    assert (quality.shown.n_rows, quality.shown.n_rejected) == (N, len(DUMPED))
    assert quality.shown.last_rejected.startswith("row 299: intensity -")
    assert quality.shown.recent_share == pytest.approx(0.01)
    assert quality.scores is not None
    np.testing.assert_array_equal(quality.scores.table[:, 2], at_once(windows).score)


def test_a_position_in_a_wrong_unit_is_one_that_is_not_known() -> None:
    quality = RowQuality(evaluator())
    (block,) = blocks([N])
    block.rows["x_m"][70] = 15.0
    quality.append(block)
    quality.end()
    *_, verdicts = quality.take()
    assert np.flatnonzero(verdicts.gates == 1 << Reason.POSITION).tolist() == [70]
    assert quality.scores is not None
    assert len(quality.scores.table) == N - 1


@pytest.mark.parametrize(("flags", "keep"), [(Flag.UNBRACKETED, 0), (Flag.SPREAD, 1)])
def test_row_whose_position_is_flagged_is_not_on_the_map_of_scores(flags: Flag, keep: int) -> None:
    quality = RowQuality(evaluator())
    (block,) = blocks([N])
    block.rows["flags"][7], block.rows["keep"][7], block.rows["x_m"][7] = flags, keep, 1e-3
    block.rows["flags"][8] = Flag.STALE  # of its energy alone
    quality.append(block)
    quality.end()
    assert quality.scores is not None
    assert len(quality.scores.table) == N - 1 and quality.scores.table[:, 0].max() < 1e-3


def test_judgement_that_fails_is_told_with_the_next_rows_and_ends_its_thread() -> None:
    judged = evaluator()
    quality = RowQuality(judged)
    some = blocks([10])
    del judged._table  # a defect
    quality.append(some[0])
    with pytest.raises(AttributeError):
        quality.end()
    quality.finish(RunOutcome(RunState.COMPLETE, EndReason.ALL_IN, ""))
    assert list(quality.take()) == []


def test_no_rows_are_no_verdicts(tmp_path: Path) -> None:
    quality = RowQuality(evaluator())
    quality.end()
    assert list(quality.take()) == []
    assert quality.scores is None


def test_rows_of_a_run_that_has_failed_are_not_judged_once_more() -> None:
    quality = RowQuality(evaluator(), is_followed=False)
    quality.append(blocks([N])[0])
    quality.finish(RunOutcome(RunState.FAILED, EndReason.ALL_IN, ""))
    assert list(quality.take()) == []
    assert quality.shown.n_rows == 0


def test_rows_are_judged_together_when_none_come_any_more() -> None:
    quality = RowQuality(evaluator())
    told = Told()
    quality.let_follow(told)
    first, second = blocks([200, 100])
    quality.append(first)
    assert told.has_begun.wait(HANG_S)
    quality.append(second)  # not so many that they would have to be judged together
    assert told.has_rested.wait(HANG_S)
    quality.end()
    assert (quality.shown.n_rows, quality.shown.n_together) == (N, N)
    assert sorted(np.flatnonzero(list(quality.take())[-1].is_rejected)) == list(DUMPED)
    assert (told.n_rows, told.judgements[-1]) == (N, (0, N, True))
    assert not any(is_final for *_, is_final in told.judgements[:-1])


@pytest.mark.parametrize("is_followed", [False, True])
def test_rows_are_not_kept_until_they_are_judged(is_followed: bool) -> None:
    quality, told = RowQuality(evaluator(), is_followed=is_followed), Told()
    quality.let_follow(told)
    for block in blocks([100]):
        told.has_come.clear()
        quality.append(block)
        assert told.has_come.wait(HANG_S)
    *earlier, _ = (rows() for rows in told.rows)
    assert earlier == [None, None], "a recording is judged at its end only: a kilobyte for each of its rows"
    quality.end()

"""The evaluator: verdicts that depend on the rows and their order alone, and provisional ones on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scanned_rows import Scan

from stream_service.qc import Evaluator
from stream_service.qc.row_table import WARM_UP_ROWS
from stream_service.qc.windows import Windows
from stream_service.settings.quality import QualitySettings

COLUMNS = ("score", "reason", "numbers", "gates", "is_rejected")


def faulty_rows():
    scan = Scan(side=26)
    scan.frames[100] *= 0.3
    scan.frames[300] = scan.frames[299]
    scan.frames[500, :32] = 0
    scan.frames[600] = np.roll(scan.frames[600], 9, axis=0)
    return scan.rows()


ROWS = faulty_rows()


ONE_WINDOW, MANY = Windows(), Windows(segment=100, before=60, after=40, warm_up=120)


def evaluator(windows=ONE_WINDOW):
    return Evaluator(QualitySettings(), (64, 64), windows=windows)


def of_all_at_once(windows=ONE_WINDOW):
    whole = evaluator(windows)
    whole.add(ROWS)
    return whole.verdicts()


AT_ONCE = of_all_at_once()
BY_SEGMENTS = of_all_at_once(MANY)


def is_same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


def test_the_scan_is_longer_than_the_warm_up():
    assert len(ROWS) > WARM_UP_ROWS
    assert np.flatnonzero(AT_ONCE.is_rejected).tolist() == [100, 300, 500, 600]


def asked(judged, question):
    if question == "latest":
        judged.latest()
    elif question == "all":
        judged.verdicts()
    elif question == "last":
        judged.last()
    elif question == "step":
        judged.step()
    elif question == "steps":
        while judged.is_due:
            judged.step()


@settings(max_examples=12, deadline=None)
@given(
    cuts=st.sets(st.integers(1, len(ROWS) - 1), max_size=12),
    questions=st.lists(
        st.sampled_from(["nothing", "latest", "all", "last", "step", "steps"]), min_size=13, max_size=13
    ),
    is_long=st.booleans(),
)
def test_neither_blocks_nor_questions_on_the_way_change_a_bit(cuts, questions, is_long):
    grown = evaluator(MANY if is_long else ONE_WINDOW)
    for rows, question in zip(np.split(ROWS, sorted(cuts)), questions, strict=False):
        grown.add(rows)
        asked(grown, question)
    assert is_same(grown.verdicts(), BY_SEGMENTS if is_long else AT_ONCE)


def test_segments_find_what_the_whole_finds():
    assert np.flatnonzero(BY_SEGMENTS.is_rejected).tolist() == [100, 300, 500, 600]
    assert BY_SEGMENTS.words(300) == AT_ONCE.words(300)
    assert BY_SEGMENTS.score == pytest.approx(AT_ONCE.score, abs=0.2)


def test_the_verdicts_on_a_segment_are_final():
    grown, settled = evaluator(MANY), {}
    for rows in np.array_split(ROWS, 23):
        grown.add(rows)
        verdicts = grown.verdicts()
        settled[grown.n_settled] = verdicts.of_rows(0, grown.n_settled)
    assert list(settled) == [0, 100, 200, 300, 400, 500, 600]
    assert all(is_same(verdicts, BY_SEGMENTS.of_rows(0, n)) for n, verdicts in settled.items())


@settings(max_examples=8, deadline=None)
@given(cuts=st.sets(st.integers(1, len(ROWS) - 1), max_size=12), n_steps=st.integers(0, 40))
def test_verdicts_one_after_the_other_come_to_those_on_all(cuts, n_steps):
    grown, score = evaluator(MANY), np.full(len(ROWS), np.nan)

    def enter(verdicts):
        score[verdicts.first : verdicts.last] = verdicts.score

    for rows in np.split(ROWS, sorted(cuts)):
        grown.add(rows)
        for verdicts in grown.latest():
            enter(verdicts)
        assert np.isfinite(score[: len(grown)]).all()
        for _ in range(n_steps):
            grown.step()
    for verdicts in grown.last():
        enter(verdicts)
    assert np.array_equal(score, BY_SEGMENTS.score)


def test_one_that_begins_again_with_the_rows_of_the_file_ends_the_same():
    first = evaluator()
    first.add(ROWS[:400])
    first.latest()
    resumed = evaluator()
    resumed.add(ROWS[:400])
    resumed.add(ROWS[400:])
    assert is_same(resumed.verdicts(), AT_ONCE)


def test_latest_are_those_since_somebody_asked():
    growing = evaluator()
    seen = []
    for rows in np.array_split(ROWS, 20):
        growing.add(rows)
        for latest in growing.latest():
            seen += range(latest.first, latest.last)
    assert seen == list(range(len(ROWS)))
    assert growing.latest() == []


def test_provisional_verdicts_find_the_faults_as_they_come():
    growing = evaluator()
    rejected = set()
    for rows in np.array_split(ROWS, 40):
        growing.add(rows)
        for latest in growing.latest():
            rejected |= set((latest.first + np.flatnonzero(latest.is_rejected)).tolist())
        while growing.is_due:
            growing.step()
    assert {100, 300, 500, 600} <= rejected
    assert len(rejected) < 0.02 * len(ROWS)
    assert is_same(growing.verdicts(), AT_ONCE)


def test_rows_may_be_overwritten_once_they_were_added():
    rows = ROWS.copy()
    whole = evaluator()
    whole.add(rows)
    rows[:] = 0
    assert is_same(whole.verdicts(), AT_ONCE)


def test_a_verdict_has_words():
    assert AT_ONCE.words(300) == "the same frame as row 299"
    assert AT_ONCE.since(300).words(0) == "the same frame as row 299"
    assert AT_ONCE.words(int(AT_ONCE.score.argmin())) == ""


@pytest.mark.parametrize("side", [4, 8, 24, 32])
def test_cells_of_another_number_may_be_compared(side):
    cells = np.repeat(np.repeat(ROWS["features"]["cells"], 6, axis=1), 6, axis=2)
    cells = cells.reshape(len(ROWS), side, 96 // side, side, 96 // side).mean(axis=(2, 4)).astype(np.float32)
    whole = evaluator()
    whole.add(ROWS, cells=cells)
    verdicts = whole.verdicts()
    assert np.flatnonzero(verdicts.is_rejected).tolist() == [100, 300, 500, 600]
    assert verdicts.words(500) == "upper half empty"


def test_pixels_without_a_measurement_do_not_count():
    rows = ROWS.copy()
    rows["features"]["cells"][:, 0, :] = np.nan
    whole = evaluator()
    whole.add(rows)
    assert np.flatnonzero(whole.verdicts().is_rejected).tolist() == [100, 300, 500, 600]


@pytest.mark.parametrize("column", ["com_y", "com_x", "max_counts"])
@pytest.mark.parametrize(("value", "w_feat"), [(1e30, 0.0), (-1e30, 0.5), (np.inf, 1.0), (np.nan, 0.5)])
def test_scores_are_numbers_whatever_is_measured(column, value, w_feat):
    rows = ROWS[:60].copy()
    rows["features"][column][[7, 8]] = value
    judged = Evaluator(QualitySettings(w_feat=w_feat), (64, 64))
    judged.add(rows)
    verdicts = judged.verdicts()
    assert ((verdicts.score >= 0) & (verdicts.score <= 1)).all()
    if column == "com_y" and abs(value) == 1e30 and w_feat:
        assert verdicts.is_rejected[[7, 8]].all()

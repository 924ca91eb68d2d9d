"""Rows by position are those that a plain look at all exposures in order gives, in whatever order they come, and
whatever was lost and is found once more."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import Frame, FrameId
from stream_service.core.grouping import Group
from stream_service.core.partition import ByPosition
from stream_service.core.position_grouping import MOST_FRAMES_BEHIND, PositionGrouper
from stream_service.core.stage_map import StageMap

NM = 1e-9
PIXELS = np.zeros((1, 1), np.uint16)
SAME_M = 20 * NM

KINDS = st.sampled_from(["stays", "stays", "stays", "steps", "returns", "moves", "unknown", "creeps"])


def exposure(ordinal: int, x_m: float, kind: str) -> Exposure:
    is_unknown = kind == "unknown"
    return Exposure(
        Frame(ordinal, ordinal, PIXELS, {}),
        FrameId(0, ordinal),
        ordinal,
        0.1,
        {"x": math.nan if is_unknown else x_m, "y": 0.0},
        position_flags=Flag.MISSING if is_unknown else Flag.NONE,
        travel_m=100 * NM if kind == "moves" else 1 * NM,
    )


@st.composite
def scans(draw: st.DrawFn) -> list[Exposure]:
    x_m, before_m, found = 0.0, 0.0, []
    for ordinal, kind in enumerate(draw(st.lists(KINDS, min_size=1, max_size=40))):
        if kind == "steps":
            before_m, x_m = x_m, x_m + 100 * NM
        elif kind == "returns":
            before_m, x_m = x_m, before_m
        elif kind == "creeps":
            x_m += 12 * NM
        found.append(exposure(ordinal, x_m, kind))
    return found


def oracle(exposures: list[Exposure], most: int) -> list[list[int]]:
    """The rows, each in order, by their first frames."""
    rows: list[list[int]] = []
    run: list[int] = []
    start_m = math.nan
    for one in sorted(exposures, key=lambda one: one.ordinal):
        if one.travel_m > SAME_M:
            rows.append([one.ordinal])
            run = []
        elif one.position_flags:
            rows.append([one.ordinal])
        elif run and len(run) < most and abs(one.values["x"] - start_m) <= SAME_M:
            run.append(one.ordinal)
        else:
            run, start_m = [one.ordinal], one.values["x"]
            rows.append(run)
    return sorted(rows)


def grouper(most: int) -> PositionGrouper:
    return PositionGrouper(ByPosition(most, SAME_M, StageMap()))


def members(groups: list[Group]) -> list[list[int]]:
    return [[one.ordinal for one in group.exposures] for group in groups]


class Rows:
    """What a file would have, row by row, and which of them are replaced."""

    def __init__(self, most: int) -> None:
        self.grouper = grouper(most)
        self.rows: list[list[int]] = []
        self.replaced: set[int] = set()

    def take(self, groups: list[Group]) -> None:
        for group in groups:
            (row,) = members([group])
            self.grouper.note(np.array([row], np.int64), len(self.rows))
            self.rows.append(row)
            self.replaced |= {group.replaces} - {-1}

    @property
    def current(self) -> list[list[int]]:
        return sorted(row for n, row in enumerate(self.rows) if n not in self.replaced)


@given(scans(), st.integers(2, 6), st.randoms(use_true_random=False))
def test_rows_are_those_of_the_oracle_however_exposures_overtake_each_other(scan, most, random):
    came = sorted(scan, key=lambda one: one.ordinal + random.uniform(0, MOST_FRAMES_BEHIND - 1))
    rows = Rows(most)
    for one in came:
        rows.take(rows.grouper.add(one))
        assert rows.grouper.take_given_up() == []
    rows.take(rows.grouper.close())
    assert rows.current == oracle(scan, most)
    assert rows.grouper.held_bytes == 0 and rows.grouper.leftover() == []


@given(scans(), st.integers(2, 6), st.data())
def test_every_exposure_is_in_one_row_or_handed_back(scan, most, data):
    lost = data.draw(st.sets(st.sampled_from(range(len(scan)))))
    came = data.draw(st.permutations([one for one in scan if one.ordinal not in lost]))
    waits = data.draw(st.sets(st.sampled_from(range(len(scan)))))
    rows, back = Rows(most), []
    for n, one in enumerate(came):
        later = {other.ordinal for other in came[n + 1 :]}
        rows.take(rows.grouper.add(one, (waits & later).__contains__))
        back += [late.ordinal for late in rows.grouper.take_given_up()]
    rows.take(rows.grouper.close())
    back += [late.ordinal for late in rows.grouper.leftover()]
    assert sorted(sum(rows.rows, back)) == sorted(one.ordinal for one in came)
    assert rows.grouper.held_bytes == 0


@given(scans(), st.integers(45, 50), st.data())
def test_rows_are_as_if_nothing_had_been_lost_once_all_is_found(scan, most, data):
    """In whatever portions; rows that are full are not looked at together with their neighbours."""
    lost = data.draw(st.sets(st.sampled_from(range(len(scan))), max_size=len(scan) - 1))
    rows = Rows(most)
    for one in scan:
        if one.ordinal not in lost:
            rows.take(rows.grouper.add(one))
    rows.take(rows.grouper.close())
    assert rows.current == oracle([one for one in scan if one.ordinal not in lost], most)
    missing = np.array(sorted(lost), np.int64)
    portions = rows.grouper.portions(missing, data.draw(st.sampled_from([3, 8, 100]))) if lost else []
    assert set(missing.tolist()) <= {n for portion in portions for n in portion.tolist()}
    for portion in portions:
        for ordinal in rows.grouper.reopen(portion).tolist():
            rows.take(rows.grouper.add(scan[ordinal]))
        groups, stays = rows.grouper.found_again()
        assert not set(stays) & {n for row in members(groups) for n in row}
        rows.take(groups)
    assert sorted(n for row in rows.current for n in row) == list(range(len(scan)))
    if not any(one.position_flags for one in scan):
        assert rows.current == oracle(scan, most)


@given(scans(), st.integers(2, 6), st.data())
def test_rows_of_which_a_frame_is_not_found_again_stay_and_no_frame_is_in_two(scan, most, data):
    frames = st.sets(st.sampled_from(range(len(scan))))
    lost, never_found = data.draw(frames), data.draw(frames)
    rows = Rows(most)
    for one in scan:
        if one.ordinal not in lost:
            rows.take(rows.grouper.add(one))
    rows.take(rows.grouper.close())
    before = rows.current
    for portion in rows.grouper.portions(np.array(sorted(lost), np.int64), 8) if lost else []:
        for ordinal in rows.grouper.reopen(portion).tolist():
            if ordinal not in never_found:
                rows.take(rows.grouper.add(scan[ordinal]))
        rows.take(rows.grouper.found_again()[0])
    now = sorted(n for row in rows.current for n in row)
    assert now == sorted(set(range(len(scan))) - (lost & never_found))
    assert all(row in rows.current for row in before if set(row) & never_found)
    assert rows.grouper.held_bytes == 0


def test_missing_frames_are_amid_a_row_or_between_two():
    rows = Rows(10)
    for n, x_m in ((1, 0.0), (3, 0.0), (5, 1e-6), (6, 1e-6), (8, 1e-6)):
        rows.take(rows.grouper.add(exposure(n, x_m, "stays")))
    rows.take(rows.grouper.close())
    missing = np.array([0, 2, 4, 7, 9])
    assert rows.current == [[1, 3], [5, 6, 8]]
    assert rows.grouper.are_amid(missing).tolist() == [False, True, False, True, False]

"""Whatever is missing on either side: a row is paired with its own frame, or with none, or the pairing is refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_service.errors import SourceError
from stream_service.settings.recorded_choices import Match
from stream_service.sources.tables.sidecar_matching import NONE, Frames, Matching, Rows, match_rows

Subset = st.sets(st.integers(0, 24), min_size=1)


@dataclass(frozen=True)
class Scan:
    """Exposures 0, 1, ... of which each side has some; the truth that a matching must not contradict."""

    of_rows: list[int]
    """The exposure that each row belongs to."""
    of_frames: list[int]
    rows: Rows
    frames: Frames

    def assert_true(self, matching: Matching) -> None:
        """No frame has a row of another exposure; what each side lacks is reported by the index."""
        for frame, row in enumerate(matching.row_of_frame.tolist()):
            assert row == NONE or self.of_rows[row] == self.of_frames[frame]
        assert set(matching.frame_of_row.tolist()) - {NONE} == set(
            np.flatnonzero(matching.row_of_frame != NONE).tolist()
        )

    def assert_all_found(self, matching: Matching) -> None:
        """And every frame that has a row got it."""
        self.assert_true(matching)
        assert [self.of_frames[frame] for frame in matching.frames_without_row] == sorted(
            set(self.of_frames) - set(self.of_rows)
        )
        assert sorted(self.of_rows[row] for row in matching.rows_without_frame) == sorted(
            set(self.of_rows) - set(self.of_frames)
        )


def ints(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


@st.composite
def scans(draw: st.DrawFn, *, offset: st.SearchStrategy[int], ids: bool = False, keys: bool = True) -> Scan:
    """Files are numbered from `first + 5`, rows are counted from `first + offset + 5`, in any order of lines.

    So rows never begin with 0 or 1 unless they are counted otherwise than the files.
    """
    of_frames = sorted(draw(Subset))
    of_rows = draw(st.permutations(sorted(draw(Subset))))
    first, shift = draw(st.integers(0, 5)), draw(offset)
    index = ints([first + shift + 5 + exposure for exposure in of_rows]) if keys else None
    numbers = ints([first + 5 + exposure for exposure in of_frames])
    by_id = draw(st.permutations(range(100, 125))) if ids else None
    return Scan(
        of_rows,
        of_frames,
        Rows(len(of_rows), index, None if by_id is None else ints([by_id[exposure] for exposure in of_rows])),
        Frames(numbers, len(of_frames), None if by_id is None else ints([by_id[exposure] for exposure in of_frames])),
    )


def matched(scan: Scan, how: Match = Match.AUTO) -> Matching | None:
    try:
        return match_rows(scan.rows, scan.frames, how)
    except SourceError:
        return None


@given(scans(offset=st.just(0)))
def test_rows_counted_as_the_files_never_go_to_another_frame(scan: Scan) -> None:
    """Any holes on both sides, the first and the last included."""
    matching = matched(scan)
    if matching is not None:
        assert matching.by is Match.NUMBER
        scan.assert_all_found(matching)
    if min(scan.of_rows) == min(scan.of_frames):
        assert matching is not None


@given(scans(offset=st.just(0)))
def test_number_when_asked_for_finds_every_pair_there_is(scan: Scan) -> None:
    matching = matched(scan, Match.NUMBER)
    assert (matching is None) == (not set(scan.of_rows) & set(scan.of_frames))
    if matching is not None:
        scan.assert_all_found(matching)


@given(scans(offset=st.integers(-5, 5), ids=True))
def test_unique_ids_find_every_pair_whatever_the_numbers(scan: Scan) -> None:
    matching = matched(scan)
    assert (matching is None) == (not set(scan.of_rows) & set(scan.of_frames))
    if matching is not None:
        assert matching.by is Match.UNIQUE_ID
        scan.assert_all_found(matching)


@given(scans(offset=st.integers(-5, 5)), st.sets(st.integers(1, 23), min_size=1))
def test_a_hole_never_shifts_rows_that_are_counted_from_elsewhere(scan: Scan, lost: set[int]) -> None:
    """Files lost from within the scan, all rows there, both counted from their own beginning: true, or refused."""
    exposures = list(range(25))
    kept = [exposure for exposure in exposures if exposure not in lost]
    assert scan.rows.frame_index is not None and scan.frames.numbers is not None
    offset = int(scan.rows.frame_index[0]) - scan.of_rows[0]
    first = int(scan.frames.numbers[0]) - scan.of_frames[0]
    whole = Scan(
        exposures,
        kept,
        Rows(25, ints([offset + exposure for exposure in exposures])),
        Frames(ints([first + exposure for exposure in kept]), len(kept)),
    )
    matching = matched(whole)
    assert (matching is None) == (offset != first)
    if matching is not None:
        whole.assert_all_found(matching)


@given(st.integers(1, 30), st.sampled_from([0, 1]), st.integers(0, 9), st.randoms())
def test_whole_sides_meet_by_order_wherever_their_counting_begins(n: int, first_row: int, first: int, random) -> None:
    of_rows = list(range(n))
    random.shuffle(of_rows)
    scan = Scan(
        of_rows,
        list(range(n)),
        Rows(n, ints([first_row + exposure for exposure in of_rows])),
        Frames(ints(list(range(first, first + n))), n),
    )
    matching = matched(scan)
    assert matching is not None and len(matching.rows_without_frame) == 0
    scan.assert_all_found(matching)


@given(scans(offset=st.just(0), keys=False))
def test_rows_that_say_nothing_are_matched_only_if_the_numbers_have_no_hole_and_the_counts_agree(scan: Scan) -> None:
    matching = matched(scan)
    numbers = scan.frames.numbers
    assert numbers is not None
    is_whole = numbers[-1] - numbers[0] == len(numbers) - 1 and len(scan.of_rows) == len(scan.of_frames)
    assert (matching is not None) == is_whole
    if matching is not None:
        assert matching.row_of_frame.tolist() == list(range(len(numbers)))

"""Rows of interrupted files on their way into the new one: each exposure once, the row that was written last."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from judged import rows_of
from limits import HANG_S

from stream_service.errors import SourceError
from stream_service.run.rows import interrupted_rows
from stream_service.run.rows.interrupted_rows import InterruptedBlock, InterruptedRows

SHAPE = (2, 3)


class File:
    """An interrupted file in memory: its pixels say which row of which file they are."""

    state = "RECEIVING"
    pixel_mask = None
    readbacks: Mapping[str, Any] = {}
    frame_shape = SHAPE

    def __init__(self, number: int, n: int, replaces: list[int] | None = None, n_announced: int | None = None) -> None:
        self.path = Path(f"{number}.h5")
        self.rows = rows_of(n, replaces=replaces or -1)
        self.n_announced = n if n_announced is None else n_announced
        self.is_closed = False
        self.failure = ""
        self._number = number

    def block(self, start: int, stop: int) -> tuple[np.ndarray[Any, Any], npt.NDArray[np.float32]]:
        if self.failure:
            raise SourceError(self.failure)
        names = 100 * self._number + np.arange(start, stop, dtype=np.float32)
        return self.rows[start:stop], np.broadcast_to(names[:, None, None], (stop - start, *SHAPE))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def reader() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def taken(late: InterruptedRows, first: int = 0) -> list[InterruptedBlock]:
    """All blocks, numbered from `first` on."""
    blocks: list[InterruptedBlock] = []
    deadline_s = time.monotonic() + HANG_S
    while not late.is_done:
        assert time.monotonic() < deadline_s
        if (block := late.take(first)) is not None:
            blocks.append(block)
            first += len(block.rows)
    return blocks


def names(blocks: list[InterruptedBlock]) -> list[int]:
    return [int(image[0, 0]) for block in blocks for image in block.pixels]


def replaced(blocks: list[InterruptedBlock]) -> list[int]:
    return [int(number) for block in blocks for number in block.rows["replaces"]]


def places(*ordinals: int) -> npt.NDArray[np.int64]:
    return np.array(ordinals, np.int64)[:, None]


def test_every_row_comes_once_in_the_order_in_which_it_was_written(reader: ThreadPoolExecutor) -> None:
    late = InterruptedRows([File(1, 3), File(2, 2)], [places(0, 2, 1), places(4, 3)], reader)
    assert (late.n_rows, late.left().tolist(), late.has_all) == (5, [0, 2, 1, 4, 3], False)
    assert names(taken(late)) == [100, 101, 102, 200, 201]
    assert late.has_all and late.left().tolist() == []


def test_of_an_exposure_that_is_in_two_files_the_later_one_is_taken(reader: ThreadPoolExecutor) -> None:
    """The service was killed while the rows of the first file were on their way into the second."""
    late = InterruptedRows([File(1, 4), File(2, 2)], [places(0, 1, 2, 3), places(4, 1)], reader)
    assert names(taken(late)) == [100, 201, 102, 103, 200]
    assert late.has_all


def test_row_that_put_another_right_is_taken_in_its_place_and_a_repeat_names_the_new_number(
    reader: ThreadPoolExecutor,
) -> None:
    file = File(1, 4, replaces=[-1, -1, 1, 0])  # row 2 is row 1, put right; row 3 repeats the position of row 0
    blocks = taken(InterruptedRows([file], [places(0, 1, 1, 7)], reader), first=10)
    assert (names(blocks), replaced(blocks)) == ([100, 102, 103], [-1, -1, 10])


def test_file_that_names_rows_it_does_not_have_names_none(reader: ThreadPoolExecutor) -> None:
    assert replaced(taken(InterruptedRows([File(1, 3, replaces=[99, -7, 1])], [places(0, 1, 2)], reader))) == [
        -1,
        -1,
        1,
    ]


def test_row_that_has_no_place_in_the_run_is_left_and_its_file_stays(reader: ThreadPoolExecutor) -> None:
    late = InterruptedRows([File(1, 3)], [places(0, -1, 2)], reader)
    assert names(taken(late)) == [100, 102]
    assert not late.has_all


def test_file_of_which_rows_are_lost_stays(reader: ThreadPoolExecutor) -> None:
    late = InterruptedRows([File(1, 2, n_announced=3)], [places(0, 1)], reader)
    taken(late)
    assert not late.has_all


def test_file_that_cannot_be_read_any_more_ends_it_with_a_sentence(reader: ThreadPoolExecutor) -> None:
    good, bad = File(1, 1), File(2, 2)
    bad.failure = "2.h5 cannot be read: Input/output error"
    late = InterruptedRows([good, bad], [places(0), places(1, 2)], reader)
    assert names(taken(late)) == [100]
    assert (late.failure, late.is_done, late.has_all) == (bad.failure, True, False)
    assert late.left().tolist() == [1, 2]


def test_large_rows_come_in_blocks(reader: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupted_rows, "BLOCK_BYTES", 2 * 4 * SHAPE[0] * SHAPE[1])
    late = InterruptedRows([File(1, 5)], [places(*range(5))], reader)
    assert [len(block.rows) for block in taken(late)] == [2, 2, 1]


def test_its_files_are_closed_in_the_thread_that_has_opened_them(reader: ThreadPoolExecutor) -> None:
    files = [File(1, 1), File(2, 1)]
    late = InterruptedRows(files, [places(0), places(1)], reader)
    late.close()
    late.close()
    assert all(file.is_closed for file in files)
    InterruptedRows().close()

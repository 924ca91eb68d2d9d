"""Rows that wait to be judged: bounded in bytes, and lost to nobody."""

from __future__ import annotations

import threading

import numpy as np
from limits import HANG_S

from stream_service.run.rows.waiting_rows import WaitingRows

ROWS = np.arange(100)


def test_all_that_have_come_are_taken_together():
    waiting = WaitingRows()
    for rows in np.array_split(ROWS, 3):
        waiting.put(rows)
    assert waiting.n_bytes == ROWS.nbytes
    assert np.concatenate(waiting.take(HANG_S)).tolist() == ROWS.tolist()
    assert (waiting.n_bytes, waiting.take(0.0)) == (0, [])


def test_the_last_rows_are_taken_before_it_is_said_that_no_more_come():
    waiting = WaitingRows()
    waiting.put(ROWS)
    waiting.close()
    assert len(waiting.take(HANG_S)) == 1
    assert waiting.take(HANG_S) is None


def test_who_brings_more_than_there_is_room_for_waits_until_some_are_taken():
    waiting, is_in = WaitingRows(most_bytes=ROWS.nbytes), threading.Event()

    def bring():
        for _ in range(3):
            waiting.put(ROWS)
        is_in.set()

    threading.Thread(target=bring, daemon=True).start()
    n_taken = 0
    while n_taken < 3:
        assert waiting.n_bytes <= ROWS.nbytes
        taken = waiting.take(HANG_S)
        assert taken, "nobody brings any"
        n_taken += len(taken)
    assert is_in.wait(HANG_S)


def test_nobody_waits_for_one_who_takes_no_more():
    waiting = WaitingRows(most_bytes=ROWS.nbytes)
    waiting.put(ROWS)
    waiting.close()
    waiting.put(ROWS)
    assert waiting.n_bytes == ROWS.nbytes

"""A readback that stalls, or a frame with a wrong stamp, at 1 kHz: it costs no frame, and flags no other row.

A model of the run's loop: the script gives the messages of each moment, and the queue is never read too late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
from scripted_run import Bench, Step

from stream_service.core.exposure import Flag
from stream_service.core.pairing.readback import Readback
from stream_service.core.run import RunState
from stream_service.sources.live.pva_queue import Received

N = 3000
RATE_HZ = 1000
PIXELS = np.zeros((6, 8), np.uint16)


class Scan:
    """`N` frames at 1 kHz, whose stamps and receipts are the clock of the bench; each of a row of its own or of two."""

    def __init__(self, folder: Path, frames_per_position: int = 1, *, has_receipts: bool = True) -> None:
        n_positions = N // frames_per_position
        self.bench = Bench(folder, n_positions=n_positions, frames_per_position=frames_per_position)
        self.ahead_s: dict[int, float] = {}
        """By unique_id: frames that are stamped later than they were taken."""
        self.happens: dict[int, Callable[[], None]] = {}
        """By the unique_id before which it does."""
        self.most_bytes = 0
        self.put_right: set[int] = set()
        """By `flagged`: the last unique_id of rows that later ones replace."""
        self._has_receipts = has_receipts

    @property
    def data_s(self) -> float:
        return corpus.STAMP_S + self.bench.clock.now_s - 1000

    def play(self) -> None:
        self.run = self.bench.play(self._messages(), self.bench.exposed(N))

    def _messages(self) -> Iterator[Step]:
        clock = self.bench.clock
        for unique_id in range(1, N + 1):
            if unique_id in self.happens:
                self.happens[unique_id]()
            seconds = self.data_s - 1e-3 * unique_id + self.ahead_s.get(unique_id, 0.0)  # `good` adds 1 ms a frame
            message: Any = corpus.good(unique_id, pixels=PIXELS, seconds=seconds)
            yield [Received(message, clock.now_s if self._has_receipts else None)]
            self.most_bytes = max(self.most_bytes, self.bench.run._rows.pairing.waiting_bytes)
            clock.now_s += 1 / RATE_HZ

    def posts_x(self) -> None:
        """The axis stands still, and posts all the same; a moment from now, since no more has been asked about."""
        stamp_ns = round((self.data_s + 1e-4) * 1e9)
        self.bench.sources.readbacks.events.append(Readback("x", 3.0, stamp_ns))

    def flagged(self) -> dict[int, Flag]:
        """The rows that were flagged, by the last unique_id of each; all others are used, and right.

        Those of them that a later row puts right are in `put_right`.
        """
        with self.bench.file() as file:
            ids, flags, replaces = (file[f"/entry/frames/{name}"][:] for name in ("unique_id", "flags", "replaces"))
            is_first = replaces < 0
            assert sorted(ids[is_first].ravel().tolist()) == list(range(1, N + 1)), "no frame is lost"
            np.testing.assert_array_equal(ids[replaces[~is_first]], ids[~is_first])
            used = flags == 0
            np.testing.assert_array_equal(file["/entry/keep"][:], used)
            assert used[~is_first].all() and not used[replaces[~is_first]].any()
            np.testing.assert_allclose(file["/entry/pos"][:][used], [[-3e-6, 4e-6]] * int(used.sum()), rtol=1e-12)
        assert self.run.state is RunState.COMPLETE
        self.put_right = {int(row[-1]) for row in ids[~is_first]}
        first = zip(ids[is_first], flags[is_first], strict=True)
        return {int(row[-1]): Flag(int(flag)) for row, flag in first if flag}


@pytest.mark.further(but=1)
@pytest.mark.parametrize("channel", ["x", "x_moving", "y"])
def test_stalled_readback_costs_no_frame_and_flags_the_rows_without_it(tmp_path, channel):
    """It is connected, and says nothing for a second of the scan; no more may wait than half a second of frames."""
    scan = Scan(tmp_path)
    scan.bench.set_budget(500 * PIXELS.nbytes)
    scan.happens = {
        1001: lambda: scan.bench.sources.readbacks.dead.add(channel),
        2001: scan.bench.sources.readbacks.dead.clear,
    }
    scan.play()
    flagged = scan.flagged()
    assert set(flagged.values()) == {Flag.UNBRACKETED}
    assert min(flagged) > 990 and max(flagged) < 1520, "those that still waited when it was back are right"
    assert len(flagged) >= 490
    assert scan.put_right == set(flagged), "it was told at last where the stage had been"
    assert scan.most_bytes <= scan.bench.sources.budget_bytes


def test_readback_that_stays_silent_is_told_while_the_run_goes_on(tmp_path):
    scan = Scan(tmp_path)
    scan.bench.set_budget(100 * PIXELS.nbytes)
    said = []
    scan.happens = {
        1001: lambda: scan.bench.sources.readbacks.dead.add("x"),
        2500: lambda: said.append(scan.bench.run.message),
    }
    scan.play()
    assert len(scan.flagged()) > 1900
    assert (
        "x was not known in time for" in said[0] and "flagged; more wait than service.frame_queue_MiB holds" in said[0]
    )


@pytest.mark.further(but=2)
@pytest.mark.parametrize("has_receipts", [True, False])
@pytest.mark.parametrize("unique_id", [2, 1500, N])
def test_frame_stamped_an_hour_ahead_costs_no_frame_and_flags_no_other_row(tmp_path, unique_id, has_receipts):
    scan = Scan(tmp_path, has_receipts=has_receipts)
    scan.bench.set_budget(1000 * PIXELS.nbytes)
    scan.ahead_s = {unique_id: 3600.0}
    scan.play()
    assert list(scan.flagged()) == [unique_id]
    assert scan.most_bytes < 200 * PIXELS.nbytes


@pytest.mark.further
def test_first_frame_stamped_an_hour_ahead_spoils_the_next_one_at_the_most(tmp_path):
    """Of two that contradict each other nobody can tell which is wrong; the third one tells."""
    scan = Scan(tmp_path)
    scan.ahead_s = {1: 3600.0}
    scan.play()
    assert 1 in scan.flagged() and set(scan.flagged()) <= {1, 2}


@pytest.mark.further
@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0])
def test_every_tenth_frame_with_a_wrong_stamp_costs_no_frame(tmp_path, ahead_s):
    scan = Scan(tmp_path)
    scan.ahead_s = dict.fromkeys(range(10, N + 1, 10), ahead_s)
    scan.play()
    assert list(scan.flagged()) == list(range(10, N + 1, 10))


def test_exposures_of_one_position_stay_together_while_others_pass(tmp_path):
    """The second exposure of position 500 is stamped ahead: its row comes, whole and flagged, when that wait ends."""
    scan = Scan(tmp_path, frames_per_position=2, has_receipts=False)
    scan.ahead_s = {1000: 3600.0}
    scan.play()
    assert list(scan.flagged()) == [1000]
    with scan.bench.file() as file:
        ids = file["/entry/frames/unique_id"][:]
        assert ids[-1].tolist() == [999, 1000], "those that are known pass it"


@pytest.mark.further
def test_readbacks_go_on_being_paired_behind_a_frame_stamped_ahead(tmp_path):
    """The histories are neither lost to it, nor kept for it."""
    scan = Scan(tmp_path, has_receipts=False)
    scan.ahead_s = {100: 3600.0}
    scan.happens = dict.fromkeys(range(2, N, 2), scan.posts_x)
    scan.play()
    assert list(scan.flagged()) == [100]

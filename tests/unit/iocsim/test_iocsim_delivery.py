"""The faulty way of frames: shuffled within windows, held until their window is full or the acquisition ends."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocsim import delivery as module
from iocsim.delays import Delays
from iocsim.delivery import Delivery
from iocsim.detector import ntndarray
from iocsim.detector.acquisition import FrameCounter
from iocsim.detector.ndarray import Compressed, NDArray
from iocsim.faults import FAR_AHEAD, Faults
from iocsim.unique_ids import FaultError

PIXELS = np.zeros((1, 2), np.uint16)
FRAME = NDArray(np.arange(24, dtype=np.uint16).reshape(4, 6), 7, 0, ())


def frames(ids: Iterable[int]) -> list[NDArray]:
    return [NDArray(PIXELS, unique_id, 0, (), number=unique_id - 1) for unique_id in ids]


def delivered(delivery: Delivery, sent: Sequence[NDArray]) -> list[int]:
    ids = [array.unique_id for one in sent for array in delivery.take(one)[1]]
    return ids + [array.unique_id for array in delivery.rest()]


@given(st.integers(0, 2**31), st.integers(2, 9), st.integers(1, 60))
def test_frames_leave_shuffled_within_their_window_and_again_so_with_the_seed(seed: int, window: int, n: int):
    faults = Faults(seed, reorder=window)
    ids = delivered(Delivery(lambda: faults), frames(range(1, n + 1)))
    for first in range(0, n, window):
        assert sorted(ids[first : first + window]) == list(range(first + 1, min(first + window, n) + 1))
    assert ids == delivered(Delivery(lambda: faults), frames(range(1, n + 1)))


def test_a_window_of_eight_is_seldom_in_order():
    faults = [Faults(seed, reorder=8) for seed in range(20)]
    orders = {tuple(delivered(Delivery(lambda of=of: of), frames(range(1, 9)))) for of in faults}
    assert len(orders) == 20


def test_what_is_lost_takes_no_place_in_a_window_and_what_is_sent_twice_takes_two():
    faults = Faults(1, drop_ids=frozenset({1}), duplicate_ids=frozenset({2}), reorder=3)
    delivery = Delivery(lambda: faults)
    taken = [delivery.take(array) for array in frames((1, 2, 3))]
    assert [copies for copies, _ in taken] == [0, 2, 1]
    assert [len(leaving) for _, leaving in taken] == [0, 0, 3]
    assert (delivery.n_sent, delivery.n_dropped, delivery.n_duplicated) == (2, 1, 1)


def test_copy_may_have_another_stamp():
    delivery = Delivery(lambda: Faults(duplicate_ids=frozenset({7}), copy_stamp_s=-0.5))
    first, copy = delivery.take(FRAME)[1]
    assert copy.unique_id == first.unique_id
    assert copy.timestamp_ns == first.timestamp_ns - 500_000_000


def test_counter_of_32_bits_goes_on_below_zero_in_the_next_epoch():
    counter = FrameCounter()
    counter.set(2**31 - 2)
    assert [counter.next() for _ in range(3)] == [(2**31 - 1, 0), (-(2**31), 1), (1 - 2**31, 1)]


def test_a_window_that_is_taken_away_lets_all_go():
    now = Faults(1, reorder=5)
    delivery = Delivery(lambda: now)
    assert [delivery.take(array)[1] for array in frames((1, 2))] == [(), ()]
    now = Faults(1)
    assert sorted(array.unique_id for array in delivery.take(frames([3])[0])[1]) == [1, 2, 3]


def test_a_far_id_is_a_far_number_too():
    delivery = Delivery(lambda: Faults(far_ids=frozenset({7})))
    (array,) = delivery.take(frames([7])[0])[1]
    assert (array.unique_id, array.number) == (7 + FAR_AHEAD, 6 + FAR_AHEAD)


def test_late_frames_leave_after_so_many_others_beyond_the_end_of_their_series():
    faults = Faults(delays=Delays.parse("2@2,3@3"))
    delivery = Delivery(lambda: faults)
    left = [[array.unique_id for array in delivery.take(one)[1]] for one in frames((1, 2, 3, 4))]
    assert left == [[1], [], [], [4, 2]]
    assert delivery.rest() == delivery.due() == ()
    left = [[array.unique_id for array in delivery.take(one)[1]] for one in frames((5, 6, 7))]
    assert left == [[5], [6, 3], [7]]


def test_late_frame_leaves_when_its_time_has_come_though_no_other_was_taken(monkeypatch: pytest.MonkeyPatch):
    now_s = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now_s[0])
    faults = Faults(delays=Delays.parse("1.5s@2"), duplicate_ids=frozenset({2}))
    delivery = Delivery(lambda: faults)
    assert delivery.take(frames([2])[0]) == (2, ())
    assert [array.unique_id for array in delivery.take(frames([3])[0])[1]] == [3]
    now_s[0] = 101.4
    assert delivery.due() == ()
    now_s[0] = 101.6
    assert [array.unique_id for array in delivery.due()] == [2, 2]
    assert delivery.due() == ()


@pytest.mark.parametrize("text", ["20", "x@5", "0@5", "-1@5", "1.5@5", "infs@5", "nans@5", "2@", "2@x"])
def test_what_is_no_delay_is_named(text: str):
    with pytest.raises(FaultError, match=r"as 20@100-104 or 1\.5s@7"):
        Delays.parse(text)


def test_garbage_is_the_same_by_the_seed_and_cannot_be_decompressed():
    def sent(seed: int, codec: str = "") -> NDArray:
        array = replace(FRAME, compressed=Compressed(codec, b"12345678") if codec else None)
        (one,) = Delivery(lambda: Faults(seed, corrupt_ids=frozenset({7}))).take(array)[1]
        return one

    assert sent(1).compressed == sent(1).compressed
    assert sent(1).compressed != sent(2).compressed
    assert (sent(1).codec, sent(1).compressed_bytes) == ("bslz4", FRAME.pixels.nbytes // 3)
    assert (sent(1, "zlib").codec, sent(1, "zlib").compressed_bytes) == ("zlib", 8)
    assert ntndarray.encode(sent(1)).value.size == FRAME.pixels.nbytes // 3


def test_half_the_payload_of_a_truncated_frame_is_sent():
    def sent(compressed: Compressed | None) -> NDArray:
        faults = Faults(truncated_ids=frozenset({7}))
        (one,) = Delivery(lambda: faults).take(replace(FRAME, compressed=compressed))[1]
        return one

    plain = ntndarray.encode(sent(None))
    assert plain.value.tolist() == list(range(12))
    assert plain.value.dtype == np.uint16
    assert [axis.size for axis in plain.dimension] == [6, 4]
    assert (plain.codec.name, plain.compressedSize, plain.uncompressedSize) == ("", 24, 48)
    compressed = sent(Compressed("zlib", b"12345678")).compressed
    assert compressed == Compressed("zlib", b"1234")

"""The faulty way of frames: shuffled within windows, held until their window is full or the acquisition ends."""

from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iocsim.delivery import Delivery
from iocsim.detector.ndarray import NDArray
from iocsim.faults import FAR_AHEAD, Faults

PIXELS = np.zeros((1, 2), np.uint16)


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

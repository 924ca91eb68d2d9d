"""Groups hold the exposures of one position each, whatever is lost and in whatever order they come."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame, FrameId
from stream_service.core.grouping import MOST_POSITIONS_BEHIND, Group, Grouper
from stream_service.core.ledger import Ledger
from stream_service.core.partition import ByIndex
from stream_service.core.receipt import Arrival

PIXELS = np.zeros((1, 1), np.uint16)


def exposure(ordinal: int) -> Exposure:
    return Exposure(Frame(ordinal, ordinal, PIXELS, {}), FrameId(0, ordinal), ordinal, 0.1, {})


def gathered(grouper: Grouper, ordinals: list[int]) -> tuple[list[Group], list[int]]:
    """Groups that filled, and the ordinals of the exposures that were given up or left over."""
    groups, rest = [], []
    for ordinal in ordinals:
        groups += grouper.add(exposure(ordinal))
        rest += [lost.ordinal for lost in grouper.take_given_up()]
    return groups, rest + [left.ordinal for left in grouper.leftover()]


@given(st.integers(1, 4), st.data())
def test_every_exposure_is_in_one_group_or_handed_back(frames_per_position, data):
    ordinals = data.draw(st.lists(st.integers(0, 60), unique=True))
    groups, rest = gathered(Grouper(ByIndex(frames_per_position)), ordinals)
    in_groups = [member.ordinal for group in groups for member in group.exposures]
    assert sorted(in_groups + rest) == sorted(ordinals)
    for group in groups:
        first = group.exposures[0].ordinal // frames_per_position * frames_per_position
        assert [member.ordinal for member in group.exposures] == list(range(first, first + frames_per_position))


@given(st.integers(1, 4), st.integers(1, 12), st.data())
def test_losing_any_frame_spoils_its_own_group_only(frames_per_position, n_positions, data):
    """Also the first one: a frame's place follows from its id, not from how many came before it."""
    n_frames = frames_per_position * n_positions
    lost = data.draw(st.sets(st.integers(0, n_frames - 1)))
    ledger = Ledger(1, n_frames)
    ordinals = []
    for n in sorted(set(range(n_frames)) - lost):
        receipt = ledger.receive(1 + n, 1000 + n)
        assert receipt.arrival is Arrival.NEW
        ordinals.append(receipt.ordinal)
    groups, _ = gathered(Grouper(ByIndex(frames_per_position)), ordinals)
    spoilt = {n // frames_per_position for n in lost}
    assert [group.exposures[0].ordinal // frames_per_position for group in groups] == [
        n for n in range(n_positions) if n not in spoilt
    ]


@given(st.integers(2, 4), st.integers(1, 30), st.randoms(use_true_random=False))
def test_exposures_that_overtake_each_other_a_little_still_fill_their_groups(frames_per_position, n_positions, random):
    """By less than `MOST_POSITIONS_BEHIND` positions: no group is given up while a member is on its way."""
    n_frames = frames_per_position * n_positions
    reach = (MOST_POSITIONS_BEHIND - 1) * frames_per_position
    ordinals = sorted(range(n_frames), key=lambda n: n + random.uniform(0, reach))
    groups, rest = gathered(Grouper(ByIndex(frames_per_position)), ordinals)
    assert not rest
    assert sorted(group.exposures[0].ordinal // frames_per_position for group in groups) == list(range(n_positions))

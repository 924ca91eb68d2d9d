"""The nearest rows, against all distances."""

from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_service.qc import neighbours as search
from stream_service.qc.neighbours import Neighbours

K = 6
PLACES = st.lists(
    st.one_of(st.just((np.nan, 0.0)), st.tuples(st.integers(-4, 4), st.integers(-9, 9))), min_size=1, max_size=60
)


def by_all_distances(places):
    found = np.full((len(places), K), -1)
    for i, here in enumerate(places):
        if np.isnan(here).any():
            continue
        squares = ((places - here) ** 2).sum(axis=1)
        others = [j for j in np.lexsort((np.arange(len(places)), squares)) if j != i and not np.isnan(squares[j])]
        found[i, : len(others[:K])] = others[:K]
    return found


@settings(max_examples=60, deadline=None)
@given(places=PLACES, n_first=st.integers(0, 60), n_tail=st.sampled_from([1, 512]))
def test_neighbours_are_the_nearest_in_order_however_rows_came(places, n_first, n_tail):
    x_m, y_m = np.array(places, float).T
    is_placed = np.isfinite(x_m)
    neighbours = Neighbours()
    neighbours.sort(x_m[:n_first], y_m[:n_first], is_placed[:n_first])
    with mock.patch.object(search, "ROWS_TO_SORT_IN", n_tail):
        found = neighbours.of(np.arange(len(places)), x_m, y_m, is_placed, K)
    assert found.tolist() == by_all_distances(np.array(places, float)).tolist()

"""The nearest rows, against all distances."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_service.core.row import row_dtype
from stream_service.qc.neighbours import Neighbours
from stream_service.qc.row_table import RowTable

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
@given(places=PLACES, n_first=st.integers(0, 60))
def test_neighbours_are_the_nearest_in_order_however_rows_came(places, n_first):
    rows = np.zeros(len(places), row_dtype(1))
    rows["x_m"], rows["y_m"] = np.array(places, float).T
    table = RowTable((64, 64), 2)
    neighbours = Neighbours(table)
    table.add(rows[:n_first])
    neighbours.sort()
    table.add(rows[n_first:])
    neighbours.sort_in()
    found = neighbours.of(np.arange(len(rows)), K)
    assert found.tolist() == by_all_distances(np.array(places, float)).tolist()

"""Totals over runs: they never go back, whatever runs do."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.account import Account
from stream_service.core.run import RunState
from stream_service.publishers.run_totals import RunTotals, Total
from stream_service.settings.service_status import NO_RUN, RunStatus


def run(number: int, received: int, state: RunState = RunState.RECEIVING, lost: int = 0) -> RunStatus:
    account = Account(10, received, 0, lost, 0, 0, 0, 0)
    return replace(NO_RUN, run_number=number, state=state, received=received, account=account)


def stored(number: int, received: int, n_stored: int) -> RunStatus:
    status = run(number, received)
    return replace(status, account=replace(status.account, stored=n_stored))


def test_next_run_counts_on() -> None:
    totals = RunTotals()
    totals.note([run(1, 5)])
    totals.note([run(1, 7, RunState.COMPLETE), run(2, 1)])
    totals.note([run(2, 3)])
    assert totals.counts[Total.RECEIVED] == 10 and totals.n_ended[RunState.COMPLETE] == 1


def test_run_that_drains_beside_the_next_counts_to_its_end() -> None:
    totals = RunTotals()
    totals.note([run(1, 5, RunState.DRAINING), run(2, 1)])
    totals.note([run(1, 6, RunState.INCOMPLETE, lost=4), run(2, 2)])
    totals.note([run(2, 2)])
    totals.note([run(2, 2), run(3, 0)])
    assert totals.counts[Total.RECEIVED] == 8 and totals.counts[Total.LOST] == 4
    assert totals.n_ended == {
        RunState.COMPLETE: 0, RunState.INCOMPLETE: 1, RunState.ABORTED: 0, RunState.FAILED: 0
    }  # fmt: skip


def test_lost_frames_count_when_their_run_has_ended_since_they_may_be_fetched() -> None:
    totals = RunTotals()
    totals.note([run(1, 5, lost=3)])
    assert totals.counts[Total.LOST] == 0
    totals.note([run(1, 5, RunState.INCOMPLETE, lost=1)])
    assert totals.counts[Total.LOST] == 1


def test_run_that_goes_on_after_a_kill_counts_from_where_it_was() -> None:
    """Prometheus takes the restart of a counter for new frames: those of before would count twice."""
    totals = RunTotals()
    totals.resumed(run(7, 500))
    totals.note([run(7, 500)])
    assert totals.counts[Total.RECEIVED] == 0
    totals.note([run(7, 520)])
    assert totals.counts[Total.RECEIVED] == 20


def test_rows_of_the_interrupted_file_that_follow_are_not_stored_twice() -> None:
    totals = RunTotals()
    totals.resumed(stored(7, 500, 0))
    for n_stored in (300, 500):
        totals.note([stored(7, 500, n_stored)])
        assert totals.counts[Total.STORED] == 0
    totals.note([stored(7, 520, 520)])
    assert totals.counts[Total.STORED] == 20


runs_at_a_time = st.lists(
    st.dictionaries(
        st.integers(1, 4),
        st.tuples(st.integers(0, 9), st.sampled_from(RunState), st.integers(0, 9)),
        max_size=3,
    )
)


@given(runs_at_a_time)
def test_no_total_ever_goes_back(noted: list[dict[int, tuple[int, RunState, int]]]) -> None:
    totals = RunTotals()
    before, n_before = totals.counts, sum(totals.n_ended.values())
    for runs in noted:
        totals.note(run(number, received, state, lost) for number, (received, state, lost) in runs.items())
        now, n_now = totals.counts, sum(totals.n_ended.values())
        assert all(now[total] >= before[total] for total in Total) and n_now >= n_before
        before, n_before = now, n_now

"""Totals over the runs of a service: counts that only grow, of runs that each count from 0.

They begin at 0 with the service. Of a run that goes on after a restart only what comes after it counts: the service
that was killed has told of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from stream_service.core.run import RunState
from stream_service.settings.service_status import RunStatus

Counts = Mapping["Total", int]
RUN_ENDS = tuple(state for state in RunState if state.has_ended)


class Total(StrEnum):
    """Name of a total, and the count of a run that goes into it."""

    _count_in: Callable[[RunStatus], int]
    _is_known_at_end: bool

    def __new__(cls, name: str, count_in: Callable[[RunStatus], int], is_known_at_end: bool = False) -> Total:
        """One that is known at the end only may go down before: a lost frame is fetched, a verdict taken back."""
        total = str.__new__(cls, name)
        total._value_ = name
        total._count_in, total._is_known_at_end = count_in, is_known_at_end
        return total

    RECEIVED = "received", lambda run: run.received
    STORED = "stored", lambda run: run.account.stored
    BACKFILLED = "backfilled", lambda run: run.account.backfilled
    DUPLICATE = "duplicate", lambda run: run.account.duplicates
    UNEXPECTED = "unexpected", lambda run: run.account.unexpected
    BEFORE_RUN = "before_run", lambda run: run.account.before_run
    BAD_MESSAGES = "bad_messages", lambda run: run.bad_messages
    ROWS = "rows", lambda run: run.rows
    LOST = "lost", lambda run: run.account.lost, True
    INCOMPLETE = "incomplete", lambda run: run.account.incomplete, True
    NOT_EXPOSED = "not_exposed", lambda run: run.account.not_exposed, True
    REJECTED = "rejected", lambda run: run.judged.n_rejected, True

    def count_in(self, run: RunStatus) -> int:
        """What the run has of it by now, for certain."""
        return self._count_in(run) if run.state.has_ended or not self._is_known_at_end else 0


NO_COUNTS: Counts = dict.fromkeys(Total, 0)


class RunTotals:
    """Totals of all runs that were noted; the thread that notes them alone may use it."""

    def __init__(self) -> None:
        self._of_past: dict[Total, int] = dict(NO_COUNTS)
        self._of_runs: dict[int, Counts] = {}
        """By number, of the runs that may still count."""
        self._told_before: dict[int, Counts] = {}
        """Of runs that go on: what an earlier service has told of."""
        self._ended: dict[RunState, set[int]] = {state: set() for state in RUN_ENDS}
        self._n_ended: dict[RunState, int] = dict.fromkeys(RUN_ENDS, 0)

    def resumed(self, run: RunStatus) -> None:
        """A run goes on, and has these counts before anything is added to it.

        Of what it has received nothing is stored by then: the rows of the interrupted file follow, which were counted.
        """
        before = {total: total.count_in(run) for total in Total}
        self._told_before[run.run_number] = before | {Total.STORED: before[Total.RECEIVED]}

    def note(self, runs: Iterable[RunStatus]) -> None:
        """All runs that work, as they are now; one that is not among them any more counts no further."""
        noted = {run.run_number: run for run in runs}
        for number in self._of_runs.keys() - noted.keys():
            self._let_go(number)
        for number, run in noted.items():
            before, earlier = self._told_before.get(number, NO_COUNTS), self._of_runs.get(number, NO_COUNTS)
            self._of_runs[number] = {total: max(earlier[total], total.count_in(run) - before[total]) for total in Total}
            if run.state.has_ended:
                self._ended[run.state].add(number)

    @property
    def counts(self) -> Counts:
        """Each total by now; never less than before."""
        return {total: self._of_past[total] + sum(run[total] for run in self._of_runs.values()) for total in Total}

    @property
    def n_ended(self) -> Mapping[RunState, int]:
        """Runs that have ended, by the state they ended in."""
        return {state: n + len(self._ended[state]) for state, n in self._n_ended.items()}

    def _let_go(self, number: int) -> None:
        for total, n in self._of_runs.pop(number).items():
            self._of_past[total] += n
        self._told_before.pop(number, None)
        for state, numbers in self._ended.items():
            if number in numbers:
                numbers.remove(number)
                self._n_ended[state] += 1

"""Quality of the rows of a run, while they come: a sink that judges them in a thread of its own.

The run hands over copies of the rows that are in the file, without their pixels, and takes verdicts back, which it
writes into the file. New rows are judged by what was usual among those before. All are judged again when they are
`RENEWAL` times as many as the last time, when none come for a moment (a plan that waits for verdicts wants good ones),
and once more at the end: that last judgement is a function of the rows alone, the same as when the file is evaluated
afterwards (ADR 0024).
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.conditions import CLOSED
from stream_service.core.row import CELLS_SIDE, RowBlock, forget_wrong_positions, row_dtype
from stream_service.core.run import RunOutcome
from stream_service.errors import OverrunError
from stream_service.qc import Evaluator, Verdicts
from stream_service.settings.quality import QualitySettings
from stream_service.settings.service_status import Judged
from stream_service.standard_file import VERDICTS_DTYPE

Rows = np.ndarray[Any, Any]

OnJudged = Callable[[Rows, Verdicts, bool], None]
"""Called with the rows that are new, verdicts on any rows so far, and whether those are final; it never waits."""

RENEWAL = 2.0
"""What all judgements of all rows cost together is then twice what the last one does."""
REST_S = 0.2
"""Without new rows, until all are judged again; three times as long as that took the last time, if that is longer."""
SHOWN_S = 1.0
"""Between two maps of the scores, but for the first and the last one."""
RECENT = 100
"""Rows of which a share is told: an operator sees within seconds that something goes wrong."""


class RowQuality:
    """See `Sink`; all methods are the run's, in its thread. Any thread may look at `shown`."""

    name = "the judgement of the rows"

    def __init__(self, evaluator: Evaluator, *, is_followed: bool = True) -> None:
        """Where nobody follows (`is_followed` False), rows are judged at the end only."""
        self.shown = Judged()
        self._is_followed = is_followed
        self._evaluator = evaluator
        """The thread's, once that has begun."""
        self._rows: SimpleQueue[Rows | None] = SimpleQueue()
        """None: no more come."""
        self._verdicts: deque[Verdicts] = deque()
        """Not taken yet."""
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._is_given_up = False
        self.scores: npt.NDArray[np.float64] | None = None
        """(n, 3) x and y in metres, and score, of the rows that have a position; another array when it is renewed."""
        self._table = np.empty((1024, 3))
        """The same of all rows, with room for more."""
        self._is_rejected = np.zeros(0, bool)
        self._shown_s = -math.inf
        self._tell: OnJudged | None = None
        self._new: list[Rows] = []
        """Rows that were not judged yet."""
        self._n_judged = 0
        """Rows that were judged, be it provisionally."""
        self._n_together = 0
        """Rows that were judged all at once the last time."""
        self._together_s = 0.0
        """What that took."""

    def on_judged(self, call: OnJudged) -> None:
        """Let this be called with every judgement, in the thread of it; to be said before the first rows."""
        self._tell = call

    def append(self, block: RowBlock) -> None:
        """Take a copy of the rows. Raises what the judgement of earlier ones failed of."""
        self._check()
        if self._thread is None:
            self._thread = self._started()
        rows = block.rows.copy()
        forget_wrong_positions(rows)
        self._rows.put(rows)

    def flush(self) -> None:
        """Verdicts are shown when they are there."""

    def take(self) -> Iterator[Verdicts]:
        """Verdicts since the last call, in order; later ones take the place of earlier ones on the same rows."""
        while self._verdicts:
            yield self._verdicts.popleft()

    def end(self) -> None:
        """No more rows come: wait until all are judged. Raises what that failed of."""
        self._stop()
        self._check()

    def finish(self, outcome: RunOutcome) -> None:
        """The thread ends, if it has not; nobody wants its verdicts any more."""
        self._is_given_up = True
        self._stop()

    def _stop(self) -> None:
        if self._thread is not None:
            self._rows.put(None)
            self._thread.join()
            self._thread = None

    def _check(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _started(self) -> threading.Thread:
        thread = threading.Thread(target=self._work, name="judging rows", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise OverrunError(f"no thread can be started to judge rows ({error}): end other programs") from error
        return thread

    def _work(self) -> None:
        try:
            goes_on = True
            while goes_on:
                goes_on = self._add()
                if self._is_given_up:
                    return
                n_rows = len(self._evaluator)
                is_time = n_rows >= RENEWAL * self._n_together or n_rows == self._n_judged
                if self._is_followed or not goes_on:
                    self._judge(all_rows=is_time or not goes_on, is_final=not goes_on)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread of the run, which tells of it)
            self._failure = error

    def _add(self) -> bool:
        """Wait for rows, or for a moment without any, and add all that have come; False if they were the last."""
        has_provisional = self._is_followed and len(self._evaluator) > self._n_together
        try:
            rows = self._rows.get(timeout=max(REST_S, 3 * self._together_s) if has_provisional else None)
        except Empty:
            return True
        while rows is not None:
            self._place(rows)
            self._evaluator.add(rows, rows["ring_current_mA"], rows["shutter_open"] != CLOSED)
            if self._tell is not None:
                self._new.append(rows)
            try:
                rows = self._rows.get_nowait()
            except Empty:
                return True
        return False

    def _judge(self, *, all_rows: bool, is_final: bool) -> None:
        n_rows = len(self._evaluator)
        if not n_rows:
            return
        began_s = time.monotonic()
        verdicts = self._evaluator.verdicts() if all_rows else self._evaluator.latest()
        self._n_judged = n_rows
        if verdicts.first == 0:
            self._n_together, self._together_s = n_rows, time.monotonic() - began_s
        self._is_rejected = np.concatenate([self._is_rejected[: verdicts.first], verdicts.is_rejected])
        self._table[verdicts.first : n_rows, 2] = verdicts.score
        self._verdicts.append(verdicts)
        if self._tell is not None:
            new, self._new = np.concatenate(self._new) if self._new else np.zeros(0, row_dtype(1)), []
            self._tell(new, verdicts, is_final)
        self.shown = self._judged(verdicts)
        if all_rows or time.monotonic() - self._shown_s > SHOWN_S:
            placed = self._table[:n_rows]
            self.scores = placed[np.isfinite(placed[:, :2]).all(axis=1)]
            self._shown_s = time.monotonic()

    def _place(self, rows: Rows) -> None:
        first = len(self._evaluator)
        last = first + len(rows)
        if last > len(self._table):
            self._table = np.concatenate([self._table, np.empty((max(last, len(self._table)), 3))])
        self._table[first:last, 0], self._table[first:last, 1] = rows["x_m"], rows["y_m"]

    def _judged(self, verdicts: Verdicts) -> Judged:
        said = self.shown.last_rejected if verdicts.first else ""
        if (rejected := np.flatnonzero(verdicts.is_rejected)).size:
            last = int(rejected[-1])
            said = f"row {verdicts.first + last}: {verdicts.words(last)}"
        return Judged(
            n_rows=len(self._is_rejected),
            n_together=self._n_together,
            n_rejected=int(np.count_nonzero(self._is_rejected)),
            recent_share=float(self._is_rejected[-RECENT:].mean()),
            last_score=float(verdicts.score[-1]),
            last_rejected=said,
        )


def stored_verdicts(verdicts: Verdicts) -> np.ndarray[Any, Any]:
    """Verdicts (n,) as the file has them."""
    table = np.zeros(len(verdicts), VERDICTS_DTYPE)
    table["score"], table["reason"], table["gates"] = verdicts.score, verdicts.reason, verdicts.gates
    table["number"], table["second"] = verdicts.numbers.T
    return table


def warm_up() -> None:
    """Load the machine code of the judgement, or compile it where the cache has none, before a run needs it."""
    shape, n = (CELLS_SIDE, CELLS_SIDE), 8
    block = RowBlock(shape, 1, n)
    rows, _ = block.next_rows(n)
    rows["x_m"] = rows["y_m"] = np.arange(n) * 1e-6
    block.append(n)
    evaluator = Evaluator(QualitySettings(), shape)
    evaluator.add(block.rows)
    evaluator.verdicts()

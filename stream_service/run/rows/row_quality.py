"""Quality of the rows of a run, while they come: a sink that judges them in a thread of its own.

The run hands over copies of the rows that are in the file, without their pixels, and takes verdicts back, which it
writes into the file. New rows are judged by what was usual among those before; between two steps of a judgement of many
rows together it is looked whether there are any. When none come for a moment, all are judged together, since a plan
that waits for verdicts wants those that stay. What is said of a row at the end is a function of the rows alone, the
same as when the file is evaluated afterwards (ADR 0024, ADR 0026).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from stream_service.core.conditions import CLOSED
from stream_service.core.row import CELLS_SIDE, RowBlock, forget_wrong_positions, trusted_positions
from stream_service.core.run import RunOutcome
from stream_service.errors import OverrunError
from stream_service.qc import Evaluator, Verdicts
from stream_service.run.rows.score_table import Scores, ScoreTable
from stream_service.run.rows.waiting_rows import WaitingRows
from stream_service.settings.quality import QualitySettings
from stream_service.settings.service_status import Judged
from stream_service.standard_file import VERDICTS_DTYPE
from stream_service.text.log_of_run import in_this_context

Rows = np.ndarray[Any, Any]

REST_S = 0.2
"""Without new rows, until all that are not final are judged together."""
REST_S_PER_ROW = 1e-4
"""Of these, if that is longer: six times what it takes. A slow scan would have them judged again with every row."""
RECENT = 100
"""Rows of which a share is told: an operator sees within seconds that something goes wrong."""


class Follower(Protocol):
    """Whoever is told of rows and verdicts in the thread that judges: it never waits."""

    def add(self, rows: Rows) -> None:
        """Take the next rows (n,) of `row_dtype`, which are not judged yet; what is kept of them is copied."""
        ...

    def judged(self, verdicts: Verdicts, *, is_final: bool) -> None:
        """Take verdicts on any rows so far, which change no more if they are final."""
        ...


class RowQuality:
    """See `Sink`; all methods are the run's, in its thread. Any thread may look at `shown` and `scores`."""

    name = "the judgement of the rows"

    def __init__(self, evaluator: Evaluator, *, is_followed: bool = True) -> None:
        """Where nobody follows (`is_followed` False), verdicts are told at the end only."""
        self.shown = Judged()
        self.is_followed = is_followed
        self._evaluator = evaluator
        """The thread's, once that has begun."""
        self._waiting = WaitingRows()
        self._verdicts: deque[Verdicts] = deque()
        """Not taken yet."""
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._is_given_up = False
        self.scores: Scores | None = None
        """Of the rows that are judged and have a trusted position; another object when there are new ones."""
        self._score_table = ScoreTable()
        self._is_rejected = np.zeros(1024, bool)
        """Of all rows, with room for more."""
        self._n_rejected = 0
        self._last_rejected = -1
        """The last row that is, as far as has been told."""
        self._follower: Follower | None = None

    @property
    def waiting_bytes(self) -> int:
        """Of rows that wait to be judged."""
        return self._waiting.n_bytes

    def let_follow(self, follower: Follower) -> None:
        """Let this one know of all rows and of every judgement; to be said before the first rows."""
        self._follower = follower

    def append(self, block: RowBlock) -> None:
        """Take a copy of the rows. Raises what the judgement of earlier ones failed of."""
        self._check()
        if self._thread is None:
            self._thread = self._started()
        rows = block.rows.copy()
        forget_wrong_positions(rows)
        self._waiting.put(rows)

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
            self._waiting.close()
            self._thread.join()
            self._thread = None

    def _check(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _started(self) -> threading.Thread:
        thread = threading.Thread(target=in_this_context(self._work), name="judging rows", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise OverrunError(f"no thread can be started to judge rows ({error}): end other programs") from error
        return thread

    def _work(self) -> None:
        try:
            while self._add():
                if self._is_given_up:
                    return
                if self.is_followed:
                    self._tell(self._evaluator.latest())
                    if self._evaluator.is_due:
                        self._evaluator.step()
                        self._tell(self._evaluator.latest())  # it may have been the last step before a long wait
            if not self._is_given_up:
                self._tell(self._evaluator.last(), is_last=True)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread of the run, which tells of it)
            self._failure = error
        finally:
            self._waiting.close()

    def _add(self) -> bool:
        """Add all rows that have come, and wait for some if there is nothing else to do; False after the last ones."""
        is_busy = self.is_followed and self._evaluator.is_due
        is_provisional = self.is_followed and self._evaluator.n_together < len(self._evaluator)
        n_open = len(self._evaluator) - self._evaluator.n_settled
        rest_s = max(REST_S, REST_S_PER_ROW * n_open) if is_provisional else None
        blocks = self._waiting.take(0.0 if is_busy else rest_s)
        for rows in blocks or ():
            self._score_table.add(*trusted_positions(rows))
            self._evaluator.add(rows, rows["ring_current_mA"], rows["shutter_open"] != CLOSED)
            if self._follower is not None:
                self._follower.add(rows)
        if blocks == [] and not is_busy:
            self._evaluator.judge_together()
        return blocks is not None

    def _tell(self, judged: list[Verdicts], *, is_last: bool = False) -> None:
        n_settled, shown = self._evaluator.n_settled, self.shown
        for verdicts in judged:
            is_final = is_last or verdicts.last <= n_settled
            self._enter(verdicts)
            self._score_table.enter(verdicts, is_final=is_final)
            self._verdicts.append(verdicts)
            if self._follower is not None:
                self._follower.judged(verdicts, is_final=is_final)
            shown = self._judged(verdicts, shown)
        self.shown = shown  # at last: who sees that all are judged together may rely on what was told of them
        if judged:
            self.scores = self._score_table.scores

    def _enter(self, verdicts: Verdicts) -> None:
        if verdicts.last > len(self._is_rejected):
            more = max(len(self._is_rejected), verdicts.last - len(self._is_rejected))
            self._is_rejected = np.concatenate([self._is_rejected, np.zeros(more, bool)])
        before = self._is_rejected[verdicts.first : verdicts.last]
        self._n_rejected += int(np.count_nonzero(verdicts.is_rejected)) - int(np.count_nonzero(before))
        before[:] = verdicts.is_rejected

    def _judged(self, verdicts: Verdicts, before: Judged) -> Judged:
        n_rows = max(verdicts.last, before.n_rows)
        said = before.last_rejected
        rejected = np.flatnonzero(verdicts.is_rejected)
        last = verdicts.first + int(rejected[-1]) if rejected.size else -1
        if verdicts.first <= self._last_rejected < verdicts.last or last > self._last_rejected:
            self._last_rejected = last
            said = f"row {last}: {verdicts.words(last - verdicts.first)}" if rejected.size else ""
        return Judged(
            n_rows=n_rows,
            n_together=self._evaluator.n_together,
            n_rejected=self._n_rejected,
            recent_share=float(self._is_rejected[max(0, n_rows - RECENT) : n_rows].mean()),
            last_score=float(verdicts.score[-1]) if verdicts.last == n_rows else before.last_score,
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

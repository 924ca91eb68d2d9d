"""Report of a run on itself: its message in sentences, and how grave that is."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from stream_service.core.ending import Ending
from stream_service.core.run import EndReason, RunState
from stream_service.errors import PtychostreamError, in_words
from stream_service.run.frame_intake import RunNotes
from stream_service.run.journal import RunJournal
from stream_service.run.run_rows import RunRows
from stream_service.run.source_watch import SourceWatch
from stream_service.run.verdict import Verdict
from stream_service.settings.service_status import Severity
from stream_service.text.counted import counted

SAY_S = 0.1
"""How often the message is renewed: as often as it is shown, and not with every frame."""
BEHIND = 16
"""One in so many bytes of the budget: with more waiting, a run is behind its detector: a full queue shows twice it."""
log = logging.getLogger(__name__)


class RunReport:
    """The message of one run; written by the thread that arms it, then by its own."""

    def __init__(
        self,
        notes: RunNotes,
        rows: RunRows,
        watch: SourceWatch,
        ending: Ending,
        budget_bytes: float,
        journal: RunJournal,
    ) -> None:
        """`budget_bytes` is for the frames that wait for the run."""
        self.message = "arming"
        self.severity = Severity.NONE
        """Of what the message says."""
        self._headline = ""
        self._about_losses = ""
        self._budget_bytes = budget_bytes
        self._said_s = 0.0
        self._notes = notes
        self._rows = rows
        self._watch = watch
        self._ending = ending
        self._journal = journal

    def renew(self, state: RunState, now_s: float, n_lost: int, waiting_bytes: int) -> None:
        """Say again what the run dropped and what is wrong, if it is time to.

        `n_lost` frames were overtaken by later ones so far, and `waiting_bytes` of frames wait for the run.
        """
        if now_s - self._said_s >= SAY_S:
            self._said_s = now_s
            about_losses = describe_losses(n_lost, waiting_bytes, self._budget_bytes)
            if about_losses and not self._about_losses:
                log.warning("%s", about_losses)
            self._about_losses = about_losses
            self.say(state, self._headline)

    def say(self, state: RunState, headline: str) -> None:
        """Renew the message: where the run is, what it dropped, what is wrong."""
        self._headline = headline
        problem = self._problem()
        self._set(self._headline, self._about_losses, *self._notes.sentences(), *self._notes_beside, problem)
        self.severity = self._severity_in(state, problem)

    def end(self, state: RunState, verdict: Verdict) -> None:
        """Say how the run ends."""
        if verdict.account.is_complete:
            self._watch.find_all()
        out, problem = self._rows.out, self._problem()
        about_rows = "no frame came, so there is no file" if out is None else out.pipeline.flags.sentence
        self._set(verdict.sentence, problem, about_rows, *self._notes_beside)
        self.severity = self._severity_in(state, problem)

    def fail(self, error: BaseException) -> None:
        """Say why the run has failed."""
        self.message, self.severity = _logged(error), Severity.MAJOR
        log.error("the run failed: %s", self.message)

    def fail_again(self, error: Exception) -> None:
        """Say what failed on the way to the end of a run that has failed."""
        self.add((words := _logged(error),))
        log.error("and on the way to its end: %s", words)

    def add(self, sentences: Iterable[str]) -> None:
        """Say more at the end."""
        added = tuple(sentences)
        self._set(self.message, *added)
        if added and self.severity is Severity.NONE:
            self.severity = Severity.MINOR

    def _set(self, *sentences: str) -> None:
        self.message = "; ".join(filter(None, sentences))

    @property
    def _notes_beside(self) -> tuple[str, ...]:
        return (*self._rows.notes(), self._journal.problem)

    def _problem(self) -> str:
        """Present problem of the run's sources; empty if there is none."""
        return "; ".join(filter(None, (self._watch.problem, self._rows.pairing.problem)))

    def _severity_in(self, state: RunState, problem: str) -> Severity:
        if problem or self._ending.reason is EndReason.DETECTOR_GONE:
            return Severity.MAJOR
        has_all_beside = not self._rows.side_notes and not self._journal.problem
        is_well = self._notes.is_empty and state is not RunState.INCOMPLETE and has_all_beside
        is_losing = bool(self._about_losses) and not state.has_ended
        return Severity.NONE if is_well and not is_losing else Severity.MINOR


def describe_losses(n_lost: int, waiting_bytes: int, budget_bytes: float) -> str:
    """One sentence on the frames lost so far, while the run goes on, and whether it is behind its detector."""
    if not n_lost:
        return ""
    lost = f"{counted(n_lost, 'frame')} lost so far (gaps in uniqueId)"
    if waiting_bytes < budget_bytes / BEHIND:
        return lost
    return f"{lost}, and {waiting_bytes >> 20} MiB of frames wait: the detector sends more than the service can store"


def _logged(error: BaseException) -> str:
    """The failure in words; a defect of the service is logged with its traceback."""
    if not isinstance(error, PtychostreamError):
        log.error("the run stopped on a defect of the service", exc_info=error)
    return in_words(error)

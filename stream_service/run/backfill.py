"""Backfill: what the stream has lost is fetched from the raw file, once nothing comes by itself any more (ADR 0030).

Frames come in bounded amounts and go the way of all others: ledger, pairing, rows. Whatever is wrong with the raw file
is said in a sentence, and fails no run: its frames stay lost. Groups that were given up are fetched whole, some at a
time, since their members are kept until they are full.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import Frame
from stream_service.core.intake import Entered
from stream_service.core.lost_frames import LostFrames
from stream_service.core.run import RunState
from stream_service.errors import SourceError
from stream_service.run.frame_intake import FrameIntake
from stream_service.run.report import RunReport
from stream_service.run.run_rows import RunRows
from stream_service.run.setup import RunSetup
from stream_service.run.sources import RawFrames
from stream_service.sources.hdf5.raw_messages import RawAnswer, RawState
from stream_service.text.counted import counted

log = logging.getLogger(__name__)

ASK_AGAIN_S = 1.0
"""Between two looks into a file that is not closed yet."""
MOST_IN_VAIN = 10
"""Of the time for which nothing of the run may come into a file (`RunRules.raw_file_s`): so long at most does a file
grow in which nothing of the run is yet."""
MOST_BYTES = 64 << 20
"""Of frames in groups that are fetched at once."""
WAITS_FOR = {
    RawState.NOT_THERE: "; it is not there yet",
    RawState.BEING_WRITTEN: "; it can be read once it is closed",
}
"""What is said of a file that is asked again."""

Ordinals = npt.NDArray[np.int64]


class Backfill:
    """What is fetched for one run; called in its thread, and never waits."""

    def __init__(self, setup: RunSetup, intake: FrameIntake, rows: RunRows, report: RunReport) -> None:
        self.is_done = False
        """True once nothing is missing, or nothing more can be found."""
        self.sentence = ""
        """Why frames were not found; empty if there is nothing to say."""
        self._setup = setup
        self._intake = intake
        self._rows = rows
        self._report = report
        self._file: RawFrames | None = None
        self._portions: deque[Ordinals] = deque()
        """What is still to be asked for in this round."""
        self._asked: Ordinals = np.zeros(0, np.int64)
        self._lost: LostFrames
        self._answer: RawAnswer | None = None
        """The last one."""
        self._is_answered = False
        self._n_wanted = self._n_made = 0
        self._found: set[int] = set()
        """Places of the frames that were found; those of a group that does not fill are fetched again in each round."""
        self._refused: set[tuple[int, int]] = set()
        """Id and stamp of frames in the file that cannot be used, which are fetched again likewise."""
        self._n_frames, self._n_of_run = -1, 0
        self._grew_s = self._opened_s = self._round_began_s = -math.inf

    def go_on(self, now_s: float, n_exposed: int | None) -> list[Entered]:
        """Do what can be done now; the new frames. To be called when all frames so far are in their groups.

        `n_exposed` is how many frames of the run the detector has made; None if it cannot tell.
        """
        if self.is_done:
            return []
        if self._file is not None and self._file.is_asked:
            return list(self._take(self._file))
        if self._is_answered:
            self._settle(now_s)
        elif self._portions:
            self._ask_next()
        elif now_s - self._round_began_s >= ASK_AGAIN_S:
            self._begin_round(now_s, n_exposed)
        return []

    def close(self) -> None:
        """Fetch nothing more."""
        self.is_done = True
        if self._file is not None:
            self._file.close()

    def _begin_round(self, now_s: float, n_exposed: int | None) -> None:
        missing = self._missing(n_exposed)
        self._n_made = max(n_exposed or 0, int(missing.max(initial=-1)) + 1)
        if not len(missing) and not self._may_lack_unknown:
            self._end("")
            return
        if self._file is None and not self._open(now_s, len(missing)):
            return
        self._round_began_s = now_s
        self._portions.extend(self._portions_of(missing))
        self._ask_next()

    @property
    def _may_lack_unknown(self) -> bool:
        """True if frames may have been lost of which no id tells; groups of several frames could not be told anew."""
        out = self._rows.out
        is_single = out is not None and out.pipeline.partition.frames_per_row == 1
        return is_single and self._intake.ledger.n_unknown(self._n_made) > 0

    def _missing(self, n_exposed: int | None) -> Ordinals:
        """Of a detector that cannot be asked all are looked for that were planned."""
        return self._intake.ledger.missing(self._setup.n_planned if n_exposed is None else n_exposed)

    def _open(self, now_s: float, n_missing: int) -> bool:
        try:
            self._file = self._setup.open_raw_file()
        except SourceError as error:
            self._end(str(error))
            return False
        self._grew_s = self._opened_s = now_s
        self._n_wanted = n_missing
        log.info("fetching %s from %s", counted(n_missing, "lost frame"), self._file.path)
        return True

    def _portions_of(self, missing: Ordinals) -> list[Ordinals]:
        """Whole groups, not more at once than may wait to be full."""
        out = self._rows.out
        if out is None:
            return [missing]
        frame_bytes = math.prod(out.begin.raw_shape) * out.begin.dtype.itemsize
        return out.pipeline.portions(missing, MOST_BYTES // frame_bytes)

    def _ask_next(self) -> None:
        assert self._file is not None
        self._asked, ledger = self._portions.popleft(), self._intake.ledger
        if self._rows.out is not None:
            self._asked = self._rows.out.pipeline.reopen(self._asked)
        else:
            ledger.reopen(self._asked)
        n_made = self._n_made if self._may_lack_unknown else None
        self._lost = LostFrames(ledger, self._asked, self._intake.begins_ns, n_made)
        self._file.ask(self._lost.unique_ids, *self._lost.held(), *self._lost.let_go())
        self._tell()

    def _take(self, file: RawFrames) -> Iterator[Entered]:
        for taken in file.take(0.0):
            if isinstance(taken, RawAnswer):
                self._answer, self._is_answered = taken, True
            elif (entered := self._entered(taken)) is not None:
                self._found.add(entered.receipt.ordinal)
                yield entered
        self._tell()

    def _entered(self, frame: Frame) -> Entered | None:
        if problem := self._rows.problem_with(frame):
            identity = frame.unique_id, frame.timestamp_ns
            if identity not in self._refused:
                self._refused.add(identity)
                self._intake.notes.refuse(f"in the raw file {problem}")
            return None
        receipt = self._lost.find(frame.unique_id, frame.timestamp_ns)
        if receipt is None:
            return None
        if self._rows.out is not None:
            corrections = self._rows.out.pipeline.corrections
            if receipt.ordinal in self._lost.displaced:
                corrections.displaced(receipt.ordinal)
            elif (
                self._intake.ledger.epochs.repeats_stamp(receipt.ordinal + 1)
                and self._setup.rules.are_positions_by_time
            ):
                corrections.stood.add(receipt.ordinal + 1)
        return Entered(frame, receipt)

    def _settle(self, now_s: float) -> None:
        """A portion has been answered, and what came of it is in its groups."""
        answer, self._is_answered = self._answer, False
        assert answer is not None
        if self._rows.out is not None:
            self._rows.out.pipeline.give_up(self._asked)
        if self._has_grown(answer, now_s):
            self._grew_s = now_s
        if answer.state in (RawState.OTHER_SCAN, RawState.UNREADABLE):
            self._end(answer.sentence)
        elif self._portions:
            return
        elif answer.state is RawState.CLOSED:
            self._end(answer.sentence)
        elif now_s - self._grew_s > self._setup.rules.raw_file_s:
            self._end(self._why_waited(answer))

    def _has_grown(self, answer: RawAnswer, now_s: float) -> bool:
        """True if more of the run is in the file: scans that follow may make it grow for as long as the beam is on."""
        n_frames, self._n_frames = self._n_frames, answer.n_frames
        n_of_run, self._n_of_run = self._n_of_run, max(self._n_of_run, answer.n_agree + len(self._found))
        may_come = now_s - self._opened_s <= MOST_IN_VAIN * self._setup.rules.raw_file_s
        return self._n_of_run > n_of_run or (not n_of_run and answer.n_frames != n_frames and may_come)

    def _why_waited(self, answer: RawAnswer) -> str:
        assert self._file is not None
        waited = f"waited {self._setup.rules.raw_file_s:g} s for it (raw_file.timeout_s)"
        said = answer.sentence or f"{self._file.path} is not closed, and nothing more of this run comes into it"
        return f"{said}; {waited}"

    def _end(self, sentence: str) -> None:
        self.sentence = sentence
        if sentence:
            log.warning("%s", sentence)
        self.close()

    def _tell(self) -> None:
        assert self._file is not None
        so_far = f": {len(self._found)} so far" if self._found else ""
        wanted = counted(self._n_wanted, "lost frame")
        waits_for = WAITS_FOR.get(self._answer.state, "") if self._answer is not None else ""
        self._report.say(RunState.DRAINING, f"fetching {wanted} from {self._file.path}{so_far}{waits_for}")

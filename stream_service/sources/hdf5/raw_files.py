"""All raw files of one capture, as the daemon sees them: one after the other, by one process.

A capture may be of several files: `NumCapture` is smaller than the scan, or each point, line or frame has its own. They
have the names that the plugin has shown in the run, and, for each of these, those with the next numbers
(`FileTemplate`) as long as there are any. Each file shows whose it is, as a single one does (ADR 0031). One of which
no frame came at all (a file for each frame) is used if others are of the run, for what was taken between the frames
that came.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import Frame
from stream_service.sources.hdf5.raw_file import NONE, RawFile
from stream_service.sources.hdf5.raw_messages import RawAnswer, RawState
from stream_service.text.counted import counted

NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
"""A name with a number: the last run of digits before the suffix."""
MOST_IN_VAIN = 100
"""Files with the next numbers, one after another, that are of another scan."""
WORST = (RawState.GROWING, RawState.BEING_WRITTEN, RawState.INTERRUPTED)
"""What may become something else by waiting, of any of the files."""

Column = npt.NDArray[np.int64]


class RawFiles:
    """See `RawFrames`: several files as one."""

    def __init__(self, file: RawFile, paths: Callable[[], Sequence[Path]]) -> None:
        """`file` is asked for each of the `paths`, the first of which it has; it is closed with this."""
        self._file = file
        self._named = paths
        self._question: tuple[Column, Column, Column, Column, Column] | None = None
        self._waiting: deque[Path] = deque()
        self._answers: dict[Path, RawAnswer] = {}
        self._is_second_round = False
        self._n_in_vain = 0

    @property
    def path(self) -> Path:
        """The file that is looked into."""
        return self._file.path

    @property
    def is_asked(self) -> bool:
        """See `RawFrames`."""
        return self._question is not None

    def ask(
        self,
        wanted: Column,
        held_ids: Column,
        held_ns: Column,
        let_go_ids: Column = NONE,
        let_go_ns: Column = NONE,
    ) -> None:
        """See `RawFrames`."""
        self._question = wanted, held_ids, held_ns, let_go_ids, let_go_ns
        self._waiting, self._answers = deque(dict.fromkeys(self._named())), {}
        self._is_second_round, self._n_in_vain = False, 0
        self._ask_next()

    def take(self, timeout_s: float) -> list[Frame | RawAnswer]:
        """See `RawFrames`."""
        taken: list[Frame | RawAnswer] = []
        for one in self._file.take(timeout_s) if self.is_asked else ():
            if isinstance(one, Frame):
                taken.append(one)
                continue
            self._enter(one)
            if not self._waiting and not self._is_second_round and self._is_any_of_run:
                self._is_second_round = True
                self._waiting.extend(path for path, answer in self._answers.items() if _has_no_frame_that_came(answer))
            if self._waiting:
                self._ask_next()
            else:
                self._question = None
                taken.append(self._whole_answer())
        return taken

    def close(self) -> None:
        """See `RawFrames`."""
        self._question = None
        self._file.close()

    def _ask_next(self) -> None:
        assert self._question is not None
        self._file.ask(*self._question, self._waiting.popleft(), is_of_capture=self._is_second_round)

    def _enter(self, answer: RawAnswer) -> None:
        path = self._file.path
        self._answers[path] = answer
        if self._is_second_round:
            return
        self._n_in_vain = self._n_in_vain + 1 if answer.state is RawState.OTHER_SCAN else 0
        following = _following(path)
        if following is None or following in self._answers or following in self._waiting:
            return
        is_end = answer.state is RawState.NOT_THERE or self._n_in_vain >= MOST_IN_VAIN
        if not is_end and not (answer.state is RawState.OTHER_SCAN and answer.n_compared):
            self._waiting.appendleft(following)

    @property
    def _is_any_of_run(self) -> bool:
        return any(answer.n_agree and answer.state is not RawState.OTHER_SCAN for answer in self._answers.values())

    def _whole_answer(self) -> RawAnswer:
        answers = list(self._answers.values())
        of_run = [answer for answer in answers if answer.state not in (RawState.NOT_THERE, RawState.OTHER_SCAN)]
        if not of_run:
            there = [answer for answer in answers if answer.state is not RawState.NOT_THERE]
            return (there or answers)[0]
        states = [answer.state for answer in of_run]
        state = next((worst for worst in WORST if worst in states), RawState.UNREADABLE)
        if state is RawState.UNREADABLE and RawState.CLOSED in states:
            state = RawState.CLOSED
        n_frames, n_compared, n_agree, n_found, n_unreadable = (
            sum(getattr(answer, name) for answer in of_run) for name in RawAnswer._fields[1:-1]
        )
        told = [answer.sentence for answer in of_run if answer.sentence]
        sentence = "; ".join(
            [*told[:1], *([f"and {counted(len(told) - 1, 'more file')} likewise"] if told[1:] else [])]
        )
        return RawAnswer(state, n_frames, n_compared, n_agree, n_found, n_unreadable, sentence)


def _has_no_frame_that_came(answer: RawAnswer) -> bool:
    return answer.state is RawState.OTHER_SCAN and answer.n_frames > 0 and not answer.n_compared


def _following(path: Path) -> Path | None:
    """The file with the next number; None for a name without any."""
    found = NUMBER.fullmatch(path.stem)
    if found is None:
        return None
    before, number, after = found.groups()
    return path.with_name(f"{before}{int(number) + 1:0{len(number)}d}{after}{path.suffix}")

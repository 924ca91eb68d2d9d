"""A process that answers gives what it was asked for, or a sentence; whatever becomes of it, nobody waits for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from limits import HANG_S

from stream_service.cancellation import Cancellation, CancelledError
from stream_service.errors import SourceError
from stream_service.processes.answering import AnsweringProcess
from stream_service.processes.limited import LimitedProcessError

ANSWERER = """
import os, sys, time
import numpy as np
from stream_service.errors import SourceError
from stream_service.processes.answering import answer_questions
from stream_service.processes.limited import limit_this_process

def answer(question):
    what = question["what"]
    if what == "wrong":
        raise SourceError("scan7.h5 is empty")
    if what == "dies":
        os.kill(os.getpid(), 11)
    if what == "raises":
        raise ArithmeticError("not to be expected")
    if what == "never":
        time.sleep(3600)
    if what == "prints":
        print("a library's remark")
    rows = np.zeros(3, [("id", "i8", (2,)), ("of", [("cells", "f4", (2, 2)), ("n", "u1")])])
    rows["id"][:, 1] = np.arange(3)
    rows["of"]["cells"] = 0.5
    big = np.arange(question.get("n", 0), dtype=np.float32).reshape(-1, 1)
    return {"said": what, "n": len(question.get("text", ""))}, {"rows": rows, "big": big, "none": np.zeros((0, 4))}

limit_this_process(1 << 30, 1 << 20)
answer_questions(answer)
"""


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnsweringProcess]:
    (tmp_path / "answerer.py").write_text(ANSWERER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    with AnsweringProcess("answerer", cancellation=Cancellation()) as started:
        yield started


def test_arrays_come_as_they_are_however_long_question_and_answer(process: AnsweringProcess) -> None:
    answer = process.ask({"what": "prints", "n": 1_000_000, "text": "x" * 1_000_000}, HANG_S)
    assert answer.facts == {"said": "prints", "n": 1_000_000}
    np.testing.assert_array_equal(answer.arrays["big"], np.arange(1_000_000, dtype=np.float32).reshape(-1, 1))
    assert answer.arrays["rows"]["id"].tolist() == [[0, 0], [0, 1], [0, 2]]
    assert (
        answer.arrays["rows"]["of"]["cells"].shape == (3, 2, 2) and (answer.arrays["rows"]["of"]["cells"] == 0.5).all()
    )
    assert answer.arrays["none"].shape == (0, 4)


def test_what_is_wrong_is_told_and_the_next_question_answered(process: AnsweringProcess) -> None:
    with pytest.raises(SourceError, match=r"^scan7\.h5 is empty$"):
        process.ask({"what": "wrong"}, HANG_S)
    assert process.ask({"what": "fine"}, HANG_S).facts["said"] == "fine"


@pytest.mark.parametrize(
    ("what", "why"), [("dies", "reading it ends the program"), ("raises", "ArithmeticError: not to be expected")]
)
def test_the_end_of_the_process_is_a_sentence(process: AnsweringProcess, what: str, why: str) -> None:
    with pytest.raises(LimitedProcessError, match=why):
        process.ask({"what": what}, HANG_S)
    with pytest.raises(LimitedProcessError, match=why):
        process.ask({"what": "fine"}, HANG_S)


def test_an_answer_that_does_not_come_is_not_waited_for(process: AnsweringProcess) -> None:
    process.ask({"what": "fine"}, HANG_S)
    with pytest.raises(LimitedProcessError, match=r"it takes longer than 0\.2 s"):
        process.ask({"what": "never"}, 0.2)
    began_s = time.monotonic()
    process.close()
    assert time.monotonic() - began_s < HANG_S


def test_an_answer_is_not_waited_for_when_the_work_is_cancelled(process: AnsweringProcess) -> None:
    process._cancellation.cancel()
    with pytest.raises(CancelledError):
        process.ask({"what": "never"}, HANG_S)

"""A flood of log lines is one line a second, and says how many it stands for."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stream_service.run.frame_intake import RunNotes
from stream_service.text.log_rate import LogRate

log = logging.getLogger("flood")


class Lines(logging.Handler):
    """Lines written, under a clock that only the test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 100.0
        self.written: list[str] = []
        self.rate = LogRate(self, lambda: self.now_s)
        self.addFilter(self.rate)

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(record.getMessage())

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
        self.rate.tell(self.now_s)


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


def flood(n: int) -> None:
    for number in range(n):
        log.warning("message %d is no frame", number)


def test_a_flood_is_one_line_and_then_one_with_a_count(lines: Lines) -> None:
    flood(1000)
    assert lines.written == ["message 0 is no frame"]
    lines.pass_s(1.0)
    assert lines.written[1:] == ["message 999 is no frame (and 998 more like it in this second)"]
    lines.pass_s(5.0)
    assert len(lines.written) == 2


def test_a_flood_that_goes_on_is_one_line_a_second(lines: Lines) -> None:
    for _ in range(80):
        flood(10)
        lines.pass_s(0.125)
    assert len(lines.written) == 11
    assert all("more like it" in line for line in lines.written[1:])


def test_the_second_of_two_different_lines_is_told_in_full(lines: Lines) -> None:
    for why in ("no such folder", "the detector acquires"):
        log.error("cannot arm: %s", why)
    assert lines.written == ["cannot arm: no such folder"]
    lines.pass_s(1.0)
    assert lines.written[1:] == ["cannot arm: the detector acquires"]


def test_other_lines_are_not_held_up_by_a_flood(lines: Lines) -> None:
    flood(50)
    log.warning("something else")
    assert lines.written == ["message 0 is no frame", "something else"]


def test_bad_messages_of_a_run_do_not_flood(lines: Lines) -> None:
    notes = RunNotes()
    for number in range(5000):
        notes.refuse(f"message {number} has no pixels")
    lines.pass_s(1.0)
    assert len(lines.written) == 2 and "4998 more" in lines.written[1]
    assert notes.n_refused == 5000


FLOOD = """
import logging
from stream_service.text.log_lines import log_to_stderr
log_to_stderr(verbose=False)
for number in range(2000):
    logging.getLogger("stream_service").warning("message %d", number)
"""


def test_what_waits_is_told_at_the_end_of_the_program() -> None:
    done = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True)
    first, last = done.stderr.splitlines()
    assert first.endswith("WARNING message 0") and "message 1999 (and 1998 more like it" in last

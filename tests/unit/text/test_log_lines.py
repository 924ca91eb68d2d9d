"""Lines of the log: text or JSON, the run they are about, and levels that change while a program runs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from stream_service.text.log_lines import LogLevel, LogLine, LogObject, set_log_level, step_log_level
from stream_service.text.log_of_run import LoggedRun, RunOfRecord, in_this_context

log = logging.getLogger("stream_service.test")


class Written(logging.Handler):
    """Every line in both forms."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(RunOfRecord())
        self.texts: list[str] = []
        self.objects: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(LogLine().format(record))
        self.objects.append(json.loads(LogObject().format(record)))


@pytest.fixture
def written() -> Iterator[Written]:
    handler = Written()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)


def test_line_of_a_run_names_its_scan_once(written: Written) -> None:
    with LoggedRun("scan7", 3).lines():
        log.info("COMPLETE: 5 of 5 frames stored")
        log.info("armed for scan7")
    log.info("loading the kernels")
    first, second, third = (text.partition(" INFO ")[2] for text in written.texts)
    assert first == "COMPLETE: 5 of 5 frames stored [scan7]"
    assert second == "armed for scan7" and third == "loading the kernels"
    assert [(found["scan_id"], found["run"]) for found in written.objects] == [("scan7", 3), ("scan7", 3), (None, None)]


def test_thread_that_a_run_starts_logs_of_this_run(written: Written) -> None:
    """Two runs may work at a time: one drains while the next is armed."""

    def work() -> None:
        log.info("written")

    with LoggedRun("first").lines():
        thread = threading.Thread(target=in_this_context(work))
    with LoggedRun("second").lines():
        thread.start()
        thread.join()
        log.info("written")
    assert [found["scan_id"] for found in written.objects] == ["first", "second"]


def test_object_is_one_line_with_time_level_and_traceback(written: Written) -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        log.exception("it\tfailed\n\x1b[2J %s", "µ")
    (found,) = written.objects
    assert found["message"] == "it\tfailed\n\x1b[2J µ" and found["level"] == "ERROR"
    assert found["logger"] == "stream_service.test" and str(found["exception"]).endswith("ValueError: a\nb")
    assert datetime.fromisoformat(str(found["time"])).utcoffset() is not None
    assert "\n" not in written.texts[0] and "\x1b" not in written.texts[0]


def test_levels_go_step_by_step_and_stop_at_the_ends() -> None:
    try:
        set_log_level(LogLevel.INFO)
        assert [step_log_level(1) for _ in range(2)] == [LogLevel.DEBUG, LogLevel.DEBUG]
        assert [step_log_level(-1) for _ in range(4)] == ["info", "warning", "error", "error"]
        assert not logging.getLogger("stream_service.run").isEnabledFor(logging.WARNING)
    finally:
        logging.getLogger("stream_service").setLevel(logging.NOTSET)
        logging.getLogger().setLevel(logging.WARNING)


PROGRAM = """
import logging
from stream_service.text.log_lines import LogFormat, log_to_stderr
from stream_service.text.log_of_run import LoggedRun
log_to_stderr(verbose=False, form=LogFormat.JSON)
log = logging.getLogger("stream_service")
with LoggedRun("flood", 1).lines():
    for number in range(3):
        log.info("message %d", number)
"""


def test_line_that_waited_is_still_of_its_run() -> None:
    """It is written later, by another thread."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    first, last = (json.loads(line) for line in done.stderr.splitlines())
    assert first["message"] == "message 0" and last["message"].startswith("message 2 (and 1 more")
    assert first["scan_id"] == last["scan_id"] == "flood" and last["run"] == 1


def test_text_of_others_of_any_length_is_a_line_that_can_be_read(written: Written) -> None:
    sent = "x" * 1_000_000
    try:
        raise ValueError(sent)
    except ValueError:
        log.exception("refused: %s", sent)
    (text,), (found,) = written.texts, written.objects
    assert len(text) < 50_000 and len(json.dumps(found)) < 50_000
    assert "refused: xxx" in text and text.count(" ... (1000") == str(found).count(" ... (1000") == 2, (
        "its length is told"
    )

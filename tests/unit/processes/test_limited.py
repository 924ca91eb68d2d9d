"""A process with limits is not left behind, whatever becomes of those who wait for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from limits import HANG_S
from waiting import is_there, wait_until

from stream_service.cancellation import Cancellation, CancelledError
from stream_service.processes.limited import LimitedProcessError, reason_of_end, run_limited

ANSWER_S = 0.5
READER = """
import os, sys, time
from pathlib import Path
from stream_service.processes.limited import limit_this_process
folder, is_orphan = Path(sys.argv[1]), sys.argv[2] == "orphan"
parent = os.getppid()
(folder / "number").with_suffix(".new").write_text(str(os.getpid()))
(folder / "number.new").rename(folder / "number")
while is_orphan and os.getppid() == parent:
    time.sleep(0.01)
limit_this_process(1 << 30, 1 << 20)
(folder / "works").touch()
time.sleep(3600)
"""
SIGNALLED = """
import os, signal
from stream_service.processes.limited import limit_this_process

limit_this_process(1 << 30, 1 << 20)
for number in (signal.SIGUSR1, signal.SIGUSR2):
    os.kill(os.getpid(), number)
print("goes on")
"""
WAITING = (
    "import sys; from stream_service.processes.limited import run_limited; run_limited('reader', sys.argv[1:], 3600)"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "reader.py").write_text(READER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    return tmp_path


def number_in(folder: Path) -> int:
    wait_until((folder / "number").exists)
    return int((folder / "number").read_text())


def test_signals_for_the_log_of_the_parent_do_not_end_it(folder: Path) -> None:
    """`systemctl kill -s USR1` sends them to all processes of a unit."""
    (folder / "signalled.py").write_text(SIGNALLED)
    assert run_limited("signalled", [], HANG_S) == b"goes on\n"


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "had no memory left (SIGKILL)"), (signal.SIGSEGV, "it is damaged so that")]
)
def test_file_is_not_called_damaged_when_others_have_ended_its_reader(number: int, words: str) -> None:
    assert words in reason_of_end(-number, b"")


def test_cancelled_process_is_ended_at_once(folder: Path) -> None:
    took_s = []
    for _ in range(3):
        cancellation, raised = Cancellation(), []

        def wait(cancellation: Cancellation = cancellation, raised: list[float] = raised) -> None:
            with pytest.raises(CancelledError):
                run_limited("reader", [str(folder), ""], 3600.0, cancellation)
            raised.append(time.monotonic())

        thread = threading.Thread(target=wait)
        thread.start()
        number = number_in(folder)
        asked_s = time.monotonic()
        cancellation.cancel()
        thread.join(HANG_S)
        took_s.append(raised[0] - asked_s)
        assert not is_there(number)
        (folder / "number").unlink()
    assert min(took_s) < ANSWER_S  # the machine may be held up, but not each time


def test_process_that_takes_too_long_is_ended(folder: Path) -> None:
    with pytest.raises(LimitedProcessError, match="it takes longer than 1 s"):
        run_limited("reader", [str(folder), ""], 1.0)
    assert not (folder / "number").exists() or not is_there(number_in(folder))


def test_work_is_done_while_the_process_works(folder: Path) -> None:
    cancellation = Cancellation()

    def meanwhile() -> None:
        number_in(folder)  # which the process writes
        cancellation.cancel()

    with pytest.raises(CancelledError):
        run_limited("reader", [str(folder), ""], 3600.0, cancellation, meanwhile)
    assert not is_there(number_in(folder))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_process_ends_with_the_command_that_waits_for_it(folder: Path, how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING, str(folder), ""], stderr=subprocess.DEVNULL) as waiting:
        wait_until((folder / "works").exists)
        waiting.send_signal(how)
    wait_until(lambda: not is_there(number_in(folder)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_process_whose_parent_was_killed_before_it_began_does_not_begin(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING, str(folder), "orphan"]) as waiting:
        number = number_in(folder)
        waiting.kill()
    wait_until(lambda: not is_there(number))
    assert not (folder / "works").exists()

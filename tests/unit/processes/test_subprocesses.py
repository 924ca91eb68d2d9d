"""Children never outlive the process that started them, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from limits import HANG_S
from waiting import is_there

from stream_service.processes.subprocesses import Subprocess

PARENT = """
import os, sys, time
from pathlib import Path
from stream_service.processes.subprocesses import Subprocess
code = "import time; print('up', flush=True); time.sleep(3600)"
child = Subprocess("child", ["-c", code], dict(os.environ), Path(sys.argv[1]))
child.wait_for("up", 300)
print(child.process.pid, flush=True)
time.sleep(3600)
"""


SLOW_TO_BEGIN = """
import os, sys, time
from pathlib import Path
from stream_service.processes import subprocesses
parent, told = os.getpid(), os.dup(1)

def wait_for_its_end():
    os.write(told, f"{os.getpid()}{os.linesep}".encode())
    while os.getppid() == parent:
        time.sleep(0.01)

subprocesses.lift_limits = wait_for_its_end  # done by the child first
code = "import time; time.sleep(3600)"
subprocesses.Subprocess("child", ["-c", code], dict(os.environ), Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
@pytest.mark.parametrize("code", [PARENT, SLOW_TO_BEGIN], ids=["after it has begun", "before it begins"])
def test_child_ends_when_its_parent_is_killed(tmp_path: Path, code: str) -> None:
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_there(pid)
        os.kill(parent.pid, signal.SIGKILL)
    deadline_s = time.monotonic() + HANG_S
    while is_there(pid):
        assert time.monotonic() < deadline_s, "the child is still there"
        time.sleep(0.02)


DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(3600)"


def test_child_that_does_not_hear_is_ended_by_a_second_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Subprocess("child", ["-c", DEAF], dict(os.environ), tmp_path / "log")
    child.wait_for("up", 300)
    wait, is_interrupted = child.process.wait, False

    def interrupted_wait(timeout: float | None = None) -> int:
        """As Ctrl-C while it is waited for, once."""
        nonlocal is_interrupted
        if not is_interrupted:
            is_interrupted = True
            raise KeyboardInterrupt
        return wait(timeout)

    monkeypatch.setattr(child.process, "wait", interrupted_wait)
    with pytest.raises(KeyboardInterrupt):
        child.end()
    assert child.exit_code == -signal.SIGKILL

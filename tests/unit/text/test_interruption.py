"""A signal that arrives where Python throws exceptions away still ends the command, without a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys
from stream_service.interruption import catch_signals, raise_if_interrupted

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        for _ in range(1000):  # the handler runs between two of these
            pass

catch_signals()
Finalized()
print("thrown away", flush=True)
try:
    raise_if_interrupted()
except KeyboardInterrupt:
    print("heard again", flush=True)
    sys.exit(130)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_finalizer_is_heard_at_the_next_step(how: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(int(how))],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in background jobs
    )
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (["thrown away", "heard again"], "", 130)


STEPS = """
import os, signal, sys
from stream_service.interruption import at_steps_only, catch_signals, raise_if_interrupted

catch_signals()
with at_steps_only():
    os.kill(os.getpid(), signal.SIGINT)
    print("goes on", flush=True)
    {then}
    print("never here")
"""


@pytest.mark.parametrize("then", ["raise_if_interrupted()", "os.kill(os.getpid(), signal.SIGTERM)", "sys.exit(3)"])
def test_within_a_step_a_signal_waits_and_a_second_one_does_not(then: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEPS.format(then=then)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.stdout == "goes on\n"
    assert ("KeyboardInterrupt" in done.stderr) is (then != "sys.exit(3)")


def test_at_the_end_of_the_steps_a_signal_is_heard() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEPS.format(then="pass").replace('print("never here")', "pass")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.stderr.strip().endswith("KeyboardInterrupt")


def test_nothing_is_raised_without_a_signal() -> None:
    code = "from stream_service.interruption import *; catch_signals(); raise_if_interrupted(); print('on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "on\n"

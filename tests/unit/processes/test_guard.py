"""Whatever a library does with a file, the command ends with a sentence, the right code, and nothing half made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer

from stream_service.cli.__main__ import ON_FILES
from stream_service.cli.app import A_DAYS_WORK
from stream_service.cli.main import app
from stream_service.errors import ConfigError
from stream_service.processes.guard import machine_limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are watched on Linux only")

SCRIPT = """
import ctypes, os, signal, sys, time
from pathlib import Path
from stream_service.processes.guard import Limits, guarded
from stream_service.processes.reading import reading, removed_at_the_end

ended = guarded(Limits(256 << 20, 0.5))
if ended is not None:
    print(ended.reason, end='\\n' if ended.reason else '')
    sys.exit(ended.exit_code)
"""
CRASHES = {
    "SIGSEGV": "ctypes.string_at(0)",
    "SIGBUS": "os.kill(os.getpid(), signal.SIGBUS)",
    "SIGABRT": "os.abort()",
}


def command(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", SCRIPT + code, *map(str, arguments)]


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(code, *arguments), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_names_what_was_read_and_leaves_nothing_half_made(tmp_path: Path, name: str) -> None:
    made, folder = tmp_path / "made", tmp_path / "folder"
    done = run(
        "removed_at_the_end(Path(sys.argv[1])).write_text('half')\n"
        "removed_at_the_end(Path(sys.argv[2])).mkdir()\n"
        "Path(sys.argv[2], 'in it').write_text('half')\n"
        "with reading('scan.h5'), reading('scan.h5:/data'):\n"
        f"    {CRASHES[name]}",
        *(made, folder),
    )
    assert done.returncode == 1
    assert done.stdout.startswith(
        f"scan.h5:/data cannot be read: it is damaged so that reading it ends the program ({name})"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_crash_after_reading_says_what_was_read_last() -> None:
    done = run("with reading('scan.h5'): pass\nos.abort()")
    assert (done.returncode, done.stdout) == (
        1,
        "the command was ended by SIGABRT; the last that was read is scan.h5: if it is damaged, copy it again\n",
    )


def test_a_library_that_never_comes_back_is_ended() -> None:
    done = run("with reading('scan.h5'):\n    while True: pass")
    assert done.returncode == 1 and done.stdout.startswith("scan.h5 cannot be read: it is damaged so that the library")
    assert "0.5 s" in done.stdout and "PTYCHOSTREAM_READ_CPU_S" in done.stdout


def test_a_thread_that_never_comes_back_is_ended_while_another_waits_for_it() -> None:
    done = run(
        "import threading\n"
        "def endless():\n"
        "    with reading('scan.h5'):\n"
        "        while True: pass\n"
        "thread = threading.Thread(target=endless); thread.start(); thread.join()"
    )
    assert done.returncode == 1 and done.stdout.startswith("scan.h5 cannot be read")


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    "code",
    [
        "for _ in range(12):\n    with reading('scan.h5'): work(0.1)",
        "with reading('scan.h5'): pass\nwork(1.2)",
        "with reading('scan.h5'): time.sleep(1.2)",
    ],
    ids=["many steps", "the command's own work", "a file server that stalls"],
)
def test_work_that_goes_on_and_waiting_cost_nothing(code: str) -> None:
    work = "def work(s):\n    end = time.process_time() + s\n    while time.process_time() < end: pass\n"
    done = run(f"{work}{code}\nprint('done')")
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_more_memory_than_allowed_is_an_exception() -> None:
    done = run("try:\n    bytearray(1 << 30)\nexcept MemoryError:\n    print('refused'); sys.exit(7)")
    assert (done.returncode, done.stdout) == (7, "refused\n")


def test_programs_that_are_started_are_not_limited(tmp_path: Path) -> None:
    done = run(
        "from stream_service.processes.subprocesses import Subprocess\n"
        "code = \"import resource; print('limit', resource.getrlimit(resource.RLIMIT_DATA)[0], flush=True)\"\n"
        "child = Subprocess('child', ['-c', code], dict(os.environ), Path(sys.argv[1]))\n"
        "print(child.wait_for('limit', 300))",
        tmp_path / "log",
    )
    assert done.stdout == "limit -1\n", done.stderr


CATCH = "from stream_service.interruption import catch_signals, raise_if_interrupted; catch_signals()\n"
UNTIL_INTERRUPTED = "try:\n  print('begun', flush=True)\n  while True: time.sleep(0.05); raise_if_interrupted()\n"
"""As commands do: a signal that comes just before one long sleep would not end it."""


@contextmanager
def waiting(code: str) -> Iterator[subprocess.Popen[str]]:
    """A watched process that has begun to read, and catches signals as commands do."""
    with subprocess.Popen(
        command(CATCH + code),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in background jobs
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_parent_interrupts_the_child_once(number: signal.Signals) -> None:
    code = UNTIL_INTERRUPTED + "except KeyboardInterrupt: print('once', flush=True)\ntime.sleep(0.3); sys.exit(130)"
    with waiting(code) as process:
        process.send_signal(number)
        said, _ = process.communicate()
    assert (said, process.returncode) == ("once\n", 130)


def test_ctrl_c_in_a_terminal_reaches_the_child_once() -> None:
    import pty

    parent, child_end = pty.openpty()
    code = (
        CATCH + UNTIL_INTERRUPTED + "except KeyboardInterrupt: print('once', flush=True)\n"
        "time.sleep(0.5); sys.exit(130)"
    )
    take_terminal = (
        "import fcntl, os, signal, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "signal.signal(signal.SIGINT, signal.default_int_handler); os.execv(sys.executable, sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", take_terminal, *command(code)],
        stdin=child_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        os.write(parent, b"\x03")
        said, _ = process.communicate()
    os.close(parent)
    os.close(child_end)
    assert (said, process.returncode) == ("once\n", 130)


def test_a_command_that_hangs_can_be_interrupted() -> None:
    """A library that does not come back lets no handler of Python run."""
    hangs = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "print('begun', flush=True)\n"
        "with reading('scan.h5'):\n    while True: pass"
    )
    with waiting(hangs) as process:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert (said, process.returncode) == ("", 130)


def test_the_child_ends_in_order_when_the_parent_is_killed(tmp_path: Path) -> None:
    code = UNTIL_INTERRUPTED + "except KeyboardInterrupt: print('in order', flush=True)"
    with waiting(code) as process:
        process.kill()
        said, _ = process.communicate()
    assert said == "in order\n"


def cli(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream_service.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def endless(path: Path, which: int) -> Path:
    """A file in which a list of free blocks (0: of the root group) is a circle: HDF5 2.0 follows it for ever.

    It takes all memory, too, and keeps it.
    """
    with h5py.File(path, "w") as file:
        file["entry/data"] = np.zeros((2, 4, 4), np.uint16)
    data = bytearray(path.read_bytes())
    heap = data.index(b"HEAP") if which == 0 else data.rindex(b"HEAP")
    free, segment = (int.from_bytes(data[heap + at : heap + at + 8], "little") for at in (16, 24))
    data[segment + free : segment + free + 8] = free.to_bytes(8, "little")
    path.write_bytes(data)
    return path


@pytest.mark.further(but=2)
@pytest.mark.parametrize(
    ("words", "which"),
    [
        ("ingest hdf5 {} --output {}.out", 1),
        ("validate {}", 1),
        ("evaluate {} --output {}_quality", 1),
        ("recipe {} --out {}.py", 0),
        ("repair {}", 0),
        pytest.param("ingest hdf5 {} --output {}.out", 0, marks=pytest.mark.long),
        pytest.param("validate {}", 0, marks=pytest.mark.long),
        pytest.param("recipe {} --out {}.py", 1, marks=pytest.mark.long),
        pytest.param("repair {}", 1, marks=pytest.mark.long),
    ],
)
def test_every_command_says_which_file_is_endless(tmp_path: Path, words: str, which: int) -> None:
    path = endless(tmp_path / "scan.h5", which)
    done = cli(*words.format(path, path).split(), PTYCHOSTREAM_READ_CPU_S="0.5", PTYCHOSTREAM_MEMORY_GiB="0.5")
    assert done.returncode == 1, done.stderr
    assert f"{path}" in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert len((done.stdout + done.stderr).strip().splitlines()) == 1, done.stderr
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["PTYCHOSTREAM_READ_CPU_S", "PTYCHOSTREAM_MEMORY_GiB"])
@pytest.mark.parametrize("value", ["much", "-1", "nan"])
def test_a_limit_that_is_no_number_is_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{name} in the environment is '{value}'"):
        machine_limits()


def test_every_command_goes_on_in_a_child_or_is_known_to_open_no_file_of_others() -> None:
    apart = {
        "init",
        "check",
        "run",
        "status",
        "web",
        "demo",
        "layout",
    }  # `web` has its files read by processes beside it
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert set(commands) == ON_FILES | apart
    assert {name for names in A_DAYS_WORK.values() for name in names} == set(commands)

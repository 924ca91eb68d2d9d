"""The private EPICS network of the system tests, and simulated beamlines on it.

The variables are set when this file is imported, before any test imports epics or p4p. Each `start_ioc` gives the
beamline a prefix of its own, so no client meets the PVs of an earlier one; make p4p contexts after it, since a context
that found nobody waits ten seconds before it looks again.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import epicscorelibs.path.pyepics  # noqa: F401 - one set of EPICS libraries for pyepics and p4p
import pytest
from limits import HANG_S
from ophyd.signal import EpicsSignalBase

from stream_service.errors import ConfigError
from stream_service.ptycho.ptypy.ptypy_python import VARIABLE as PTYPY_VARIABLE
from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
from stream_service.testing.loopback import LoopbackEpics, process_environment

if TYPE_CHECKING:
    from rig import Rigs

LOG_SHOWN = 5_000
"""Characters of a log with the report of a failed test."""
SIGNAL_S = 20.0
"""Of ophyd's signals, which give a loaded machine 1 to 5 s by themselves."""
NETWORK = LoopbackEpics.reserve(["ioc", "service", "adzmq", "simplon", "stream2"])
"""One beamline, and one daemon, or one for each transport."""
os.environ.update(NETWORK.client_environment())
EpicsSignalBase.set_defaults(connection_timeout=SIGNAL_S, timeout=SIGNAL_S, write_timeout=SIGNAL_S)

END_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
"""A test run that is killed takes its beamlines along, where Linux can do that."""
_PREFIXES = (f"T{os.getpid()}N{number}:" for number in itertools.count())


@dataclass(frozen=True, slots=True)
class IocProcess:
    """A running `iocsim`."""

    prefix: str
    process: subprocess.Popen[str]
    ready_line: str

    @property
    def n_pvs(self) -> int:
        """The number of PVs it said it serves."""
        found = re.search(r"PVs: (\d+)", self.ready_line)
        assert found is not None, self.ready_line
        return int(found.group(1))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; gives the exit code, kills it after HANG_S."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(HANG_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure the end of what the processes of the test have logged."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    if report.failed:
        folders = {fixtures.get("tmp_path"), *(getattr(value, "folder", None) for value in fixtures.values())} - {None}
        for log in sorted({log for folder in folders for log in folder.rglob("*.log")}):
            report.sections.append((f"end of {log.name}", log.read_text(errors="replace")[-LOG_SHOWN:]))
    return report


@pytest.fixture(scope="session")
def epics() -> LoopbackEpics:
    """The network this process is a client of; children get their environment from it."""
    return NETWORK


@pytest.fixture(scope="module")
def start_ioc(epics: LoopbackEpics) -> Iterator[Callable[..., IocProcess]]:
    """Start `iocsim` with these arguments and wait until it is ready; it ends with the module or the next start.

    A prefix of its own, unless one is given: that of an IOC which comes back.
    """
    running: list[IocProcess] = []

    def start(*arguments: str | Path, prefix: str = "") -> IocProcess:
        while running:
            running.pop().stop()
        prefix = prefix or next(_PREFIXES)
        process = subprocess.Popen(
            [*END_WITH_PARENT, sys.executable, "-m", "iocsim", "--prefix", prefix, *map(str, arguments)],
            env=process_environment(epics.server_environment("ioc")),
            stdout=subprocess.PIPE,
            text=True,
        )
        ioc = IocProcess(prefix, process, _ready_line(process))
        running.append(ioc)
        return ioc

    yield start
    while running:
        running.pop().stop()


@pytest.fixture(scope="module")
def rigs(epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rigs]:
    """The daemon of the tests of a module."""
    from rig import Rigs  # not before the variables are set

    running = Rigs(epics, lambda: tmp_path_factory.mktemp("rig"))
    yield running
    running.close()


def _ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    overdue = threading.Timer(HANG_S, process.kill)
    overdue.start()
    try:
        for line in process.stdout:
            if line.startswith("iocsim ready"):
                return line
    finally:
        overdue.cancel()
    process.stdout.close()
    pytest.fail(f"iocsim was not ready within {HANG_S} s (exit code {process.wait()})")


@pytest.fixture(scope="session")
def ptypy_python() -> PtypyPython:
    """The Python that has PtyPy; skips where there is none, since it is the user's own install."""
    named = os.environ.get(PTYPY_VARIABLE)
    try:
        return PtypyPython.find(Path(named) if named else None, follow=True)
    except ConfigError as error:
        pytest.skip(str(error))

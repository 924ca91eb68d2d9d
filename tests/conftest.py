"""Full-size tests are run with `--long` only, further cases with `--long` or `--further`; what takes long begins first.

Properties are tried with the same examples every time, so that the verdict on a change is about the change; the long
tests try them with others, and many more, and remember what failed.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
from further_cases import further_cases
from hypothesis import HealthCheck, is_hypothesis_test, settings

# How long an example takes, or its making, says what else the machine does.
ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("the same", ANY_MACHINE, derandomize=True, max_examples=100)
settings.register_profile("others", ANY_MACHINE, derandomize=False, max_examples=1000)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs, and by all that they start


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the full-size tests and all further cases, too")
    parser.addoption("--further", action="store_true", help="run all further cases, too")
    parser.addoption("--one-case", action="store_true", help="of a test with several cases, run the first only")


WAITS = "system"
"""The room whose tests wait for processes most of the time: while they do, those of other rooms have the processor."""
COMPUTES = ("hostile", "property", "unit")
"""The others, in this order: long files first, so that no process is left alone with one when the others are done."""
LONG_FILES = ("test_failing_disk.py", "test_terminal.py", "test_guard.py", "test_stalls.py")
"""Of their room these come first, for the same reason: each takes 10 s and more."""
COMPUTED_MEANWHILE = 2
"""Files of the other rooms that follow each one of those that wait, which take longer."""


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("others" if config.getoption("--long") else "the same")
    if hasattr(config, "workerinput"):
        return
    share_machine_code(config)
    if config.getoption("numprocesses", None):
        prepare(config)


def share_machine_code(config: pytest.Config) -> None:
    """Let all processes of the tests, and the commands they start, have one cache of numba."""
    with suppress(OSError, AttributeError):  # pytest has no cache where it may not write, or is told to have none
        os.environ.setdefault("NUMBA_CACHE_DIR", str(config.cache.mkdir("numba")))  # type: ignore[union-attr]


def prepare(config: pytest.Config) -> None:
    """Have the caches of numba and Python filled before the processes of the tests begin, which else would all compile
    the same."""
    collecting = None
    if not any(Path(__file__).parent.glob("unit/__pycache__/*")) and not sys.dont_write_bytecode:
        command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *config.args]
        collecting = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        compile_kernels()
    finally:
        if collecting is not None:
            collecting.wait()


def compile_kernels() -> None:
    """All that a service compiles before its first run."""
    import numpy as np

    from stream_service.kernels import Corrections, FrameReducer, Geometry
    from stream_service.run.rows import row_quality

    row_quality.warm_up()
    FrameReducer(Geometry((8, 8)), Corrections()).warm_up(np.dtype(np.uint16), 1)


@pytest.hookimpl(tryfirst=True)  # before `-m long` selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = in_order(items)
    if config.getoption("--long"):
        for item in items:
            if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj):
                item.add_marker(pytest.mark.long)
    else:
        keep(config, items, lambda item: item.get_closest_marker("long") is None)
    if not (config.getoption("--long") or config.getoption("--further")):
        further = further_cases(items)
        keep(config, items, lambda item: item not in further)
    if config.getoption("--one-case"):
        first = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        keep(config, items, lambda item: item is first[item.nodeid.partition("[")[0]])


def pytest_collection_finish() -> None:
    gc.freeze()  # thousands of tests and their modules stay to the end: no collection need look through them again


def keep(config: pytest.Config, items: list[pytest.Item], is_wanted: Callable[[pytest.Item], bool]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if not is_wanted(item)])
    items[:] = [item for item in items if is_wanted(item)]


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """What takes long first, and files that wait beside files that compute."""
    tests = Path(__file__).parent
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)

    def place(path: Path) -> tuple[int, bool]:
        room = path.relative_to(tests).parts[0]
        return COMPUTES.index(room) if room in COMPUTES else len(COMPUTES), path.name not in LONG_FILES

    computing = iter(sorted((path for path in files if path.relative_to(tests).parts[0] != WAITS), key=place))
    order: list[Path] = []
    for path in sorted((path for path in files if path.relative_to(tests).parts[0] == WAITS), key=place):
        order += [path, *islice(computing, COMPUTED_MEANWHILE)]
    return [item for path in (*order, *computing) for item in files[path]]

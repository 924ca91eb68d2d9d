"""Full-size tests are run with `--long` only; what takes long begins first.

Properties are tried with the same examples every time, so that the verdict on a change is about the change; the long
tests try them with others, and many more, and remember what failed.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

# How long an example takes, or its making, says what else the machine does.
ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("the same", ANY_MACHINE, derandomize=True, max_examples=100)
settings.register_profile("others", ANY_MACHINE, derandomize=False, max_examples=1000)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs, and by all that they start


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the full-size tests, too")
    parser.addoption("--one-case", action="store_true", help="of a test with several cases, run the first only")


FIRST = ("system", "hostile", "property", "unit")
"""Rooms in this order: long files first, so that no process is left alone with one when the others are done."""
LONG_FILES = ("test_failing_disk.py", "test_terminal.py", "test_guard.py", "test_stalls.py")
"""Of their room these come first, for the same reason: each takes 10 s and more."""


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("others" if config.getoption("--long") else "the same")
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        compile_kernels()


def compile_kernels() -> None:
    """Have numba's cache filled before the processes of the tests begin, which else would all compile the same."""
    import numpy as np

    from stream_service.kernels import Corrections, FrameReducer, Geometry
    from stream_service.run.rows import row_quality

    row_quality.warm_up()
    FrameReducer(Geometry((8, 8)), Corrections()).warm_up(np.dtype(np.uint16), 1)


@pytest.hookimpl(tryfirst=True)  # before `-m long` selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    rooms = {room: number for number, room in enumerate(FIRST)}

    def place(item: pytest.Item) -> tuple[int, bool]:
        room = item.path.relative_to(tests).parts[0]
        return rooms.get(room, len(rooms)), item.path.name not in LONG_FILES

    items.sort(key=place)
    if config.getoption("--long"):
        for item in items:
            if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj):
                item.add_marker(pytest.mark.long)
    else:
        keep(config, items, lambda item: item.get_closest_marker("long") is None)
    if config.getoption("--one-case"):
        first = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        keep(config, items, lambda item: item is first[item.nodeid.partition("[")[0]])


def keep(config: pytest.Config, items: list[pytest.Item], is_wanted: Callable[[pytest.Item], bool]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if not is_wanted(item)])
    items[:] = [item for item in items if is_wanted(item)]

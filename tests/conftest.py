"""Full-size tests are run with `--long` only; what takes long begins first."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # how long an example takes says what else the machine does
settings.load_profile("any machine")
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs, and by all that they start


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the full-size tests, too")


FIRST = ("system", "hostile", "property", "unit")
"""Rooms in this order: long files first, so that no process is left alone with one when the others are done."""
LONG_FILES = ("test_failing_disk.py", "test_terminal.py", "test_guard.py", "test_kernels_fused.py")
"""Of their room these come first, for the same reason: each takes 10 s and more."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    rooms = {room: number for number, room in enumerate(FIRST)}

    def place(item: pytest.Item) -> tuple[int, bool]:
        room = item.path.relative_to(tests).parts[0]
        return rooms.get(room, len(rooms)), item.path.name not in LONG_FILES

    items.sort(key=place)
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]

"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from limits import HANG_S


def wait_until(claim: Callable[[], object]) -> None:
    """Fail if the claim does not come true."""
    deadline_s = time.monotonic() + HANG_S
    while not claim():
        assert time.monotonic() < deadline_s, "it did not come true in time"
        time.sleep(0.01)


def is_there(number: int) -> bool:
    """True of a process that has not ended (Linux)."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

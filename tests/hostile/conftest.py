"""Progress of the long tests, on the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

EVERY_S = 10.0


@pytest.fixture
def told(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[dict[str, int]], None]:
    """To be called with the cases so far by what became of them."""
    began_s = time.monotonic()
    told_s = 0.0

    def tell(counts: dict[str, int]) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if now_s - told_s < EVERY_S:
            return
        told_s = now_s
        n = sum(counts.values())
        found = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        with capsys.disabled():
            print(f"\n{request.node.name}: {n:,} ({found}), {n / (now_s - began_s):.0f} a second", end="", flush=True)

    return tell

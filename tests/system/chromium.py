"""Headless Chromium of the system, which opens pages as a reader's browser does; it is never downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")


@contextmanager
def browser() -> Iterator[Any]:
    """A browser; the test skips where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM} that could open the page")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()

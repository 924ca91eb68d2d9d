"""The end of an IOC that dies, as a real one was seen to."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

SEGMENTATION_FAULT = 139
"""128 + SIGSEGV, as a shell tells it."""


def crash(reason: str) -> NoReturn:
    """End as the real IOC does, which is not caught anywhere: at once, with the exit code of a segmentation fault."""
    print(f"iocsim: ends as the real IOC does (segmentation fault) {reason}", file=sys.stderr, flush=True)
    os._exit(SEGMENTATION_FAULT)

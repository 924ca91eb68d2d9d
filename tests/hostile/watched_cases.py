"""Cases of a corpus, attempted one after the other in a child watched as commands are; a new child after each death."""

from __future__ import annotations

import json
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from reader_script import SAID_EVERY

from stream_service.errors import SourceError
from stream_service.processes.guard import Limits, guarded

MOST_MEMORY_BYTES = 400 << 20
"""A reader may take this for a file of any kind, on top of what the libraries have; a frame may have 256 MiB."""
LONGEST_CALL_S = 0.4
"""Processor time of one step of reading a small file."""
AT_ONCE_S = 1.0
"""Processor time that refusing a small file takes at most."""
LONGEST_MESSAGE = 1500
OUT_OF_MEMORY = 3
"""Exit code."""
READ, REFUSED, ENDED, CASE = range(4)
"""Places of the counts."""


def attempt_all(
    attempt: Callable[[int], object], first: int, last: int, path: Path, after: Callable[[], object] = lambda: None
) -> dict[str, int]:
    """Outcome of each case: an attempt reads the file at `path`, or raises `SourceError`; anything else fails.

    `after` is called when something was refused, and must find the reader in order. How far it is is said now and then.
    """
    counts: Any = np.frombuffer(mmap.mmap(-1, 4 * 8), np.int64)  # the child counts, too
    counts[CASE] = first
    while counts[CASE] < last:
        ended = guarded(Limits(_data_bytes() + MOST_MEMORY_BYTES, LONGEST_CALL_S))
        if ended is None:
            try:
                _go_on(attempt, last, counts, after)
            except MemoryError:  # a library keeps all that is allowed: a command ends with a sentence here
                os._exit(OUT_OF_MEMORY)
            os._exit(0)
        if ended.reason or ended.exit_code == OUT_OF_MEMORY:
            is_named = ended.reason.startswith(str(path)) or ended.exit_code == OUT_OF_MEMORY
            assert is_named and "\n" not in ended.reason, (int(counts[CASE]), ended.reason)
            counts[ENDED] += 1
            counts[CASE] += 1
        else:
            assert ended.exit_code == 0, f"case {counts[CASE]}: exit code {ended.exit_code}"
    return _by_name(counts)


def _go_on(attempt: Callable[[int], object], last: int, counts: Any, after: Callable[[], object]) -> None:
    while counts[CASE] < last:
        began_s = time.process_time()
        is_refused = _is_refused(attempt, int(counts[CASE]))
        assert not is_refused or time.process_time() - began_s < AT_ONCE_S
        counts[REFUSED if is_refused else READ] += 1
        counts[CASE] += 1
        if is_refused and counts[REFUSED] % 10 == 0:
            after()
        if counts[CASE] % SAID_EVERY == 0:
            print(json.dumps(_by_name(counts)), flush=True)
    after()


def _by_name(counts: Any) -> dict[str, int]:
    return {"read": int(counts[READ]), "refused": int(counts[REFUSED]), "ended": int(counts[ENDED])}


def _is_refused(attempt: Callable[[int], object], case: int) -> bool:
    try:
        attempt(case)
    except SourceError as error:
        message = str(error)
        assert 0 < len(message) <= LONGEST_MESSAGE and "\n" not in message, message
        return True
    return False


def _data_bytes() -> int:
    """Memory that counts for the limit now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))

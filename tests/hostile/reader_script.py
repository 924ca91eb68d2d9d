"""Runs readers of a corpus in processes of their own, one for each core, for tests of what they read.

A reader is a script: `python SCRIPT KIND FIRST LAST FOLDER` prints, as JSON, what has become of its cases so far, now
and then and at its end. It may say nothing else.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""So that the reader may fork."""
LEAST_SHARE = 500
"""Cases of a reader, so that its start is worth it."""
SAID_EVERY = 500
"""Cases."""
LONGEST_SILENCE_S = 1800.0
"""Of all readers: one that hangs. 500 cases take 1 to 10 s on a quiet machine, and how busy this one is is no harm."""

Counts = dict[str, int]
"""Cases by what became of them."""


class _Reader:
    """One process, with its share of the cases."""

    def __init__(self, script: str, kind: str, first: int, last: int, folder: Path) -> None:
        folder.mkdir()
        self.cases = f"{kind} {first} to {last}, the last of them in {folder},"
        self.counts: Counts = {}
        self._complaints = folder / "complaints.txt"
        self.command = f"tests/hostile/{script} {kind} N N+1 FOLDER"
        command = [sys.executable, "-W", "error", Path(__file__).with_name(script), kind, str(first), str(last), folder]
        environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with self._complaints.open("wb") as complaints:
            self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=complaints)

    def listen(self, said: queue.SimpleQueue[tuple[_Reader, Counts | None]]) -> None:
        """Pass on what it says; None at its end."""
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                said.put((self, json.loads(line)))
        said.put((self, None))

    def check_end(self) -> None:
        code, complained = self.process.wait(), self._complaints.read_text(errors="replace")
        died = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        assert code == 0, f"reading {self.cases} ended {died}; one case alone: {self.command}\n{complained}"
        assert complained == "", "nothing may leak to the terminal"


def outcome(
    script: str, kind: str, first: int, last: int, folder: Path, told: Callable[[Counts], object] = lambda counts: None
) -> Counts:
    """What became of the cases; the test fails as soon as a reader did not come to its end, or said anything else.

    `told` hears how far they are.
    """
    n_parts = min(os.cpu_count() or 1, max(1, (last - first) // LEAST_SHARE))
    edges = [first + (last - first) * part // n_parts for part in range(n_parts + 1)]
    said: queue.SimpleQueue[tuple[_Reader, Counts | None]] = queue.SimpleQueue()
    readers = [
        _Reader(script, kind, *share, folder / str(part)) for part, share in enumerate(itertools.pairwise(edges))
    ]
    threads = [threading.Thread(target=reader.listen, args=[said]) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        n_running = len(readers)
        while n_running:
            reader, counts = said.get(timeout=LONGEST_SILENCE_S)
            if counts is None:
                reader.check_end()
                n_running -= 1
            else:
                reader.counts = counts
                told(_total(readers))
        return _total(readers)
    finally:
        for reader, thread in zip(readers, threads, strict=True):
            reader.process.kill()
            reader.process.wait()
            thread.join()


def _total(readers: list[_Reader]) -> Counts:
    total: Counter[str] = Counter()
    for reader in readers:
        total.update(reader.counts)
    return dict(total)

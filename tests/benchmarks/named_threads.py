"""A Python module run with its threads named for the kernel, too: `python named_threads.py MODULE [ARGUMENTS]`.

Python does so by itself from 3.14 on; before, all threads of a process share its name in /proc, and nobody can tell
which of them takes the time.
"""

from __future__ import annotations

import runpy
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

start = threading.Thread.start


def start_named(thread: threading.Thread, *arguments: Any) -> None:
    start(thread, *arguments)
    with suppress(OSError):  # it has ended already
        Path(f"/proc/self/task/{thread.native_id}/comm").write_text(thread.name[:15])


if __name__ == "__main__":
    threading.Thread.start = start_named  # type: ignore[method-assign]
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

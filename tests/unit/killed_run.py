"""A scripted run whose service was killed, and its files as they were at that moment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from scripted_run import Bench, frames

from stream_service.run.live.unfinished_run import UnfinishedRun, unfinished_journals


def killed(bench: Bench, n_before: int, *more: Any, is_paired: bool = True) -> UnfinishedRun:
    """A run whose service was killed when so many frames were in its file, and what else the script brings.

    With `is_paired` False its frames still waited for their readbacks: the file has no row.
    """
    kept = bench.run.setup.path.parent / "kept"

    def keep() -> None:
        bench.file_is_written()
        (journal,) = unfinished_journals(bench.profile)
        kept.mkdir()
        for path in (journal, bench.run.setup.path):
            shutil.copy(path, kept)

    before = (frames(range(1, n_before + 1)), *more, *([bench.settles()] if is_paired else []), keep)
    bench.play(lambda: bench.run.setup.journal.numbered(1), *before, bench.stop)
    (journal,) = kept.glob("*.jsonl")
    shutil.copy(kept / bench.run.setup.path.name, bench.run.setup.path)
    folder = bench.profile.service.data_root / ".ptychostream"
    (home,) = folder.iterdir()
    return UnfinishedRun.read(Path(shutil.copy(journal, home)))


def go_on(bench: Bench, *script: object) -> None:
    bench.run.arm()
    bench.frames.script = (step for part in script for step in (part if hasattr(part, "__next__") else [part]))
    bench.run.work()
    assert bench.run.state.has_ended

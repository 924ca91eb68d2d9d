"""Whoever waits for compilation is told so, once, if it takes long."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import limits
import pytest
from numba.extending import intrinsic

from stream_service import compilation
from stream_service.compilation import NOTICE, CompilationNotice
from stream_service.kernels.machine_code import inlined
from stream_service.testing.example_file import write_example

SOON = "import stream_service.compilation as c; c.LONG_S = 0.01; from stream_service.cli.__main__ import main; main()"
"""A command on a machine that may be so fast that it would say nothing."""

TOLD = threading.Event()


@intrinsic
def _same(_: Any, value: Any) -> Any:
    assert TOLD.wait(limits.HANG_S), "while it is compiled"
    return value(value), lambda context, builder, signature, args: args[0]


same: Any = _same


@pytest.fixture
def said() -> SimpleQueue[str]:
    return SimpleQueue()


def test_long_compilation_is_told_once(said: SimpleQueue[str]) -> None:
    notice = CompilationNotice(said.put, 0.0)
    notice.begin()
    notice.begin()  # of a function that the first one calls
    notice.end()
    assert said.get(timeout=limits.HANG_S) == NOTICE
    notice.end()
    notice.begin()
    notice.end()
    assert said.empty()


def test_short_compilation_is_not_told(said: SimpleQueue[str]) -> None:
    notice = CompilationNotice(said.put, limits.HANG_S)
    notice.begin()
    waiting = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    notice.end()
    for thread in waiting:
        thread.join(limits.HANG_S / 2)
        assert not thread.is_alive(), "nobody waits any more"
    assert said.empty()


def test_many_short_compilations_are_one_long_one(said: SimpleQueue[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(compilation, "monotonic", lambda: now_s)
    notice = CompilationNotice(said.put, limits.HANG_S)
    for _ in range(2):
        notice.begin()
        now_s += limits.HANG_S / 2
        notice.end()
        assert said.empty()
    notice.begin()
    assert said.get(timeout=limits.HANG_S) == NOTICE
    notice.end()


def test_kernels_that_are_compiled_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "_notice", CompilationNotice(lambda _: TOLD.set(), 0.0))
    assert inlined(lambda value: same(value))(7) == 7
    assert TOLD.is_set()


@pytest.mark.long
def test_first_commands_on_a_machine_tell_it_on_standard_error(tmp_path: Path) -> None:
    write_example(tmp_path / "in.h5", 40)
    ingest = ["ingest", "hdf5", "in.h5", "--output", "out.h5", "--force"]
    evaluate = ["evaluate", "out.h5", "--out", "quality"]
    for words, cache, n_told in ((ingest, "one", 1), (ingest, "one", 0), (evaluate, "another", 1)):
        done = subprocess.run(
            [sys.executable, "-c", SOON, *words],
            cwd=tmp_path,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / cache)},
            capture_output=True,
            text=True,
            check=False,
            timeout=limits.HANG_S,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(f"note: {NOTICE}\n") == n_told
        assert NOTICE not in done.stdout


def test_commands_load_nothing_that_other_packages_add_to_numba() -> None:
    script = """
from stream_service.compilation import leave_out_extensions
leave_out_extensions()
import sys
from importlib.metadata import entry_points
from stream_service.run.rows.row_quality import warm_up
warm_up()
extensions = {entry.module.partition(".")[0] for entry in entry_points(group="numba_extensions")}
sys.exit(str(loaded) if (loaded := extensions & sys.modules.keys()) else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=limits.HANG_S
    )
    assert done.returncode == 0, done.stderr

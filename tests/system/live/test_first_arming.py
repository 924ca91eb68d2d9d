"""The first run of a daemon is armed at once: what takes time is done before it says that it is ready."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from limits import HANG_S
from rig import Rigs, begin_rig

from stream_service.testing.loopback import LoopbackEpics


def copied_cache(folder: Path, without: str = "") -> Path:
    """The machine code of all tests in a folder of its own, but for that of one kernel."""
    ignored = shutil.ignore_patterns("*.tmp.*", *([f"*.{without}-*"] if without else []))  # what is being written
    shutil.copytree(os.environ["NUMBA_CACHE_DIR"], folder, ignore=ignored)
    return folder


def compiled(cache: Path) -> set[Path]:
    return set(cache.rglob("*.nbc"))


def test_nothing_is_imported_loaded_or_compiled_while_the_first_run_is_armed(
    start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path: Path
) -> None:
    """numba says on standard output what it loads from its cache, and what it keeps there."""
    variables = {"NUMBA_DEBUG_CACHE": "1", "PYTHONPROFILEIMPORTTIME": "1"}
    rig = begin_rig(start_ioc().prefix, epics, tmp_path, variables=variables)
    with closing(rig):
        said: list[str] = []
        while not any("ready" in line for line in said):
            assert rig.child.exit_code is None, rig.child.log_tail()
            said += rig.child.lines(HANG_S)
        assert any("[cache] " in line for line in said), "loaded before it says that it is ready"
        rig.beamline.acquire(1)
        imported = rig.child.log.stat().st_size
        assert rig.arm("first", n_positions=1) == ""
        lines = rig.child.log.read_bytes()[imported:].decode().splitlines()
        assert [line for line in lines if line.startswith("import time:")] == []
        assert [line for line in rig.child.lines(0.0) if "[cache] " in line] == []


@pytest.mark.further
def test_service_answers_while_the_kernel_is_compiled(
    start_ioc: Callable[..., Any], rigs: Rigs, tmp_path: Path
) -> None:
    """For a type of pixels that was not expected, which takes a second or more on any machine."""
    cache = copied_cache(tmp_path / "cache", without="reduce_pixels")
    rig = rigs.beside(start_ioc("--dtype", "uint32").prefix, variables={"NUMBA_CACHE_DIR": str(cache)})
    rig.beamline.acquire(1)
    rig.service.put("Request", json.dumps({"scan_id": "compiles", "n_positions": 1}))
    rig.service.put("Arm", 1, wait=False)
    rig.service.wait_until(lambda: "a file on trial" in str(rig.service.get("Message")))
    assert rig.service.get("Arm") == 1, "it is busy with that"
    rig.service.put("Abort", 1)
    assert (rig.service.get("Arm"), rig.service.get("State")) == (0, "IDLE")
    n_compiled = len(compiled(cache))
    rig.service.wait_until(lambda: len(compiled(cache)) > n_compiled)  # it went on after the answer

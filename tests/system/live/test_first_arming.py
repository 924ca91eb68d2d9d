"""The first run of a daemon is armed at once: what takes time is done before it says that it is ready."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig import Rigs


def compiled(cache: Path) -> set[Path]:
    return set(cache.rglob("*.nbc"))


def test_nothing_is_imported_or_compiled_while_the_first_run_is_armed(
    start_ioc: Callable[..., Any], rigs: Rigs, tmp_path: Path
) -> None:
    variables = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPROFILEIMPORTTIME": "1"}
    rig = rigs.beside(start_ioc().prefix, variables=variables)
    rig.beamline.acquire(1)
    at_ready = compiled(tmp_path)
    assert at_ready, "compiled before it said that it is ready"
    imported = rig.child.log.stat().st_size
    assert rig.arm("first", n_positions=1) == ""
    lines = rig.child.log.read_bytes()[imported:].decode().splitlines()
    assert [line for line in lines if line.startswith("import time:")] == []
    assert compiled(tmp_path) == at_ready


def test_service_answers_while_the_kernel_is_compiled(
    start_ioc: Callable[..., Any], rigs: Rigs, tmp_path: Path
) -> None:
    """For a type of pixels that was not expected, which takes a second or more on any machine."""
    rig = rigs.beside(start_ioc("--dtype", "uint32").prefix, variables={"NUMBA_CACHE_DIR": str(tmp_path)})
    rig.beamline.acquire(1)
    rig.service.put("Request", json.dumps({"scan_id": "compiles", "n_positions": 1}))
    rig.service.put("Arm", 1, wait=False)
    rig.service.wait_until(lambda: "a file on trial" in str(rig.service.get("Message")))
    assert rig.service.get("Arm") == 1, "it is busy with that"
    rig.service.put("Abort", 1)
    assert (rig.service.get("Arm"), rig.service.get("State")) == (0, "IDLE")
    n_compiled = len(compiled(tmp_path))
    rig.service.wait_until(lambda: len(compiled(tmp_path)) > n_compiled)  # it went on after the answer

"""Machine code is taken from the disk as long as no file of its folder has changed, and only then."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import limits
import pytest

import stream_service
from stream_service.kernels import machine_code

PACKAGE = Path(stream_service.__file__).parent
ENTRY = """
from stream_service.kernels.machine_code import compiled
from steps.adding import add

@compiled()
def total(n):
    return add(n)
"""
ADDING = """
from stream_service.kernels.machine_code import part

STEP = 1

@part()
def add(n):
    return n + STEP
"""
CALL = "from steps.entry import total; print(total(40), sum(total.stats.cache_hits.values()))"
REDUCE = """
import numpy as np
from stream_service.kernels import Corrections, FrameReducer, Geometry
from stream_service.kernels.pixelpass import reduce_pixels
reducer = FrameReducer(Geometry((4, 16)), Corrections())
out = np.zeros((4, 16), np.float32)
reducer.reduce(np.full((1, 4, 16), 7, np.uint16), [1.0], out)
print(out[0, 1], sum(reduce_pixels.stats.cache_hits.values()))
"""


def said(code: str, where: Path, cache: Path | str) -> list[float]:
    """Numbers that are printed by another process, whose modules are those of `where` first."""
    path = os.pathsep.join([str(where), str(PACKAGE.parent)])
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
        timeout=limits.HANG_S,
    )
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    folder = tmp_path / "steps"
    folder.mkdir()
    (folder / "entry.py").write_text(ENTRY)
    (folder / "adding.py").write_text(ADDING)
    return folder


def test_code_is_kept_until_a_file_beside_it_changes(steps: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert said(CALL, tmp_path, cache) == [41, 0]
    assert said(CALL, tmp_path, cache) == [41, 1]
    (steps / "adding.py").write_text(ADDING.replace("STEP = 1", "STEP = 2"))
    assert said(CALL, tmp_path, cache) == [42, 0]


def test_without_a_folder_for_the_cache_it_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no locator available")

    monkeypatch.setattr(machine_code.FunctionCache, "__init__", refuse)
    total = machine_code.compiled()(lambda n: n + 1)
    assert (total(40), dict(total.stats.cache_hits)) == (41, {})


@pytest.mark.long
def test_pixel_kernel_is_compiled_anew_when_one_of_its_files_changes(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "stream_service", ignore=shutil.ignore_patterns("__pycache__"))
    cache = tmp_path / "cache"
    assert said(REDUCE, tmp_path, cache) == [7, 0]
    assert said(REDUCE, tmp_path, cache) == [7, 1]
    changed = tmp_path / "stream_service" / "kernels" / "pixelpass" / "line_in_registers.py"
    source, right = changed.read_text(), "value = builder.fmul(value, load"
    assert right in source
    changed.write_text(source.replace(right, right.replace("fmul", "fadd")))
    assert said(REDUCE, tmp_path, cache) == [8, 0]


def folders_of_compiled_code() -> list[Path]:
    sources = (path for path in PACKAGE.rglob("*.py") if path.name != "machine_code.py")
    return sorted({path.parent for path in sources if "kernels.machine_code import" in path.read_text()})


@pytest.mark.parametrize("folder", folders_of_compiled_code(), ids=lambda folder: folder.name)
def test_what_is_compiled_together_stands_in_one_folder(folder: Path) -> None:
    own = ".".join(folder.relative_to(PACKAGE.parent).parts)
    for path in folder.glob("*.py"):
        imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        modules = {node.module or "" for node in imported if (node.module or "").startswith("stream_service")}
        others = {module for module in modules if module != own and not module.startswith(own + ".")}
        assert others <= {"stream_service.kernels.machine_code"}, f"{path.name} takes code that the cache does not see"

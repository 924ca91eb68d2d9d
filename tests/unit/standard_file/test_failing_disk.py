"""Wherever the disk fails, there is one sentence, no crash, what was flushed can be read, and the next file is fine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.standard_file import validate_file

SCRIPT = Path(__file__).parents[1] / "failing_disk.py"
WHOLE_BYTES = 1_250_000
"""Of the file of the scenario `standard_file`: 60 rows of 64 x 64."""
ROOMS = [0, 47, 50_000, *range(300_000, WHOLE_BYTES, 400_000)]
MORE_ROOMS = [0, 47, 1000, 4096, 8192, 50_000, 130_000, 200_000, *range(300_000, WHOLE_BYTES, 76_543)]
"""Bytes that a file of this scenario finds, from none to nearly enough."""
Tried = Callable[[str, str, str, Path, list[int]], list[dict[str, Any]]]
"""Scenario, lack, foresight, folder, rooms."""
few_and_many = pytest.mark.parametrize(
    "rooms", [ROOMS, pytest.param(MORE_ROOMS, marks=pytest.mark.long)], ids=["few", "many"]
)


@pytest.fixture(scope="module")
def script() -> Iterator[subprocess.Popen[str]]:
    """One for all tests: every try has a process of its own all the same."""
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        yield started


@pytest.fixture
def tried(script: subprocess.Popen[str]) -> Tried:
    """Outcome of a scenario, with so much room each time; whatever else is said fails the test."""

    def outcomes(scenario: str, lack: str, foresight: str, folder: Path, rooms: list[int]) -> list[dict[str, Any]]:
        assert script.stdin is not None and script.stdout is not None
        print(json.dumps([scenario, lack, foresight, str(folder), rooms]), file=script.stdin, flush=True)
        lines = [script.stdout.readline() for _ in rooms]
        if not all(line.startswith("{") for line in lines):
            script.kill()
            pytest.fail("".join(lines) + script.stdout.read())
        return [json.loads(line) for line in lines]

    return outcomes


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own; root only. Not below `tmp_path`: pytest could not remove what a killed test mounted."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        if mounted.returncode != 0:
            pytest.skip("only root may mount a small disk")
        yield folder
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def assert_all_is_told(results: list[dict[str, Any]], words: str) -> None:
    for result in results:
        assert result["exit_code"] == 0, result
        assert result["left"] == [], "nothing half-made is left behind"
        assert result["next"] == [""], result
        assert words in result["sentence"], result


def assert_rows_can_be_read(seen: Path, result: dict[str, Any], *, is_closed: bool) -> None:
    with h5py.File(seen, "r", swmr=not is_closed) as file:
        entry = file["/entry"]
        keys = int(np.count_nonzero(entry["live/key_data"][()]))
        assert keys == result["n_rows"] == entry["ledger/stored"][()], result
        assert [entry["data"][i, 0, 0] for i in range(keys)] == [64 * 64 * i for i in range(keys)]
        assert entry["run/state"][()] == b"FAILED"
        assert entry["run/message"][()].decode() == result["sentence"]
    assert [found for found in validate_file(seen) if found.level == "error"] == []


@pytest.mark.further(but=1)
@few_and_many
@pytest.mark.parametrize("foresight", ["yes", "no"])
def test_files_that_may_not_grow(tried: Tried, tmp_path: Path, foresight: str, rooms: list[int]) -> None:
    rooms = rooms if foresight == "no" else [*rooms, 1_300_000, 1_600_000]
    results = tried("standard_file", "limit", foresight, tmp_path, rooms)
    assert len(results) == len(rooms)
    assert_all_is_told(results, "the file would be larger than this system allows (ulimit -f)")
    made = [result for result in results if (tmp_path / f"{result['room']}.seen.h5").exists()]
    assert any(result["n_rows"] > 10 for result in made)
    for result in made:
        assert_rows_can_be_read(tmp_path / f"{result['room']}.seen.h5", result, is_closed=foresight == "yes")


@pytest.mark.further(but=1)
@few_and_many
@pytest.mark.parametrize("foresight", ["yes", "no"])
def test_disk_that_is_full(tried: Tried, small_disk: Path, foresight: str, rooms: list[int]) -> None:
    rooms = rooms if foresight == "no" else [*rooms, 1_300_000, 1_600_000]
    results = tried("standard_file", "full", foresight, small_disk, rooms)
    assert_all_is_told(results, "the disk is full: free space or choose another folder")
    made = [result for result in results if (small_disk / f"{result['room']}.seen.h5").exists()]
    assert any(result["n_rows"] > 10 for result in made)
    for result in made:
        assert_rows_can_be_read(small_disk / f"{result['room']}.seen.h5", result, is_closed=foresight == "yes")


@pytest.mark.further(but=7)
@pytest.mark.parametrize("output", ["export", "closed_copy", "probe", "sidecar", "ingest", "followed_ingest"])
@pytest.mark.parametrize(
    ("foresight", "rooms"),
    [
        ("yes", [0, 200_000]),
        ("no", [4096, 900_000]),
        pytest.param("yes", [47, 4096, 60_000, 900_000], marks=pytest.mark.long),
        pytest.param("no", [0, 1000, 200_000, 600_000], marks=pytest.mark.long),
    ],
)
def test_every_other_output(tried: Tried, tmp_path: Path, output: str, foresight: str, rooms: list[int]) -> None:
    if output == "followed_ingest":  # with keys for a million rows
        rooms = [*rooms, 12_700_000, 13_500_000]
    results = tried(output, "limit", foresight, tmp_path, rooms)
    assert_all_is_told(results, "the file would be larger than this system allows (ulimit -f)")
    assert all(result["sentence"].startswith(f"{tmp_path}/{result['room']}_std.h5") for result in results)
    made = list(tmp_path.glob("*.seen.h5"))
    assert bool(made) == (output == "followed_ingest"), "what is not whole has no name, unless others follow it"


def test_what_is_reserved_is_given_back(tried: Tried, tmp_path: Path) -> None:
    results = tried("standard_file", "limit", "yes", tmp_path, [1_500_000])
    seen = os.stat(tmp_path / "1500000.seen.h5")
    assert results[0]["n_rows"] > 10
    assert seen.st_blocks * 512 < seen.st_size + (1 << 16)

"""SIGKILL at any moment of a scan, and of what follows: nothing that was flushed is lost, nothing is there twice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from limits import HANG_S
from rig import ENDED, Rig, Rigs

from stream_service.standard_file.rules.validate import validate_file

pytestmark = pytest.mark.recovery

N_POSITIONS, FRAMES_PER_POSITION = 8, 2
BY_ATTRIBUTE = {name: {"how": "attribute", "attribute": f"pos{name}", "pv": "", "unit": "um"} for name in ("x", "y")}
USUAL = (4, 6, 8, 10, 13)
"""Early and late in the scan, once more while it resumes, and as soon as the last frame was made."""
SEEDS = [*USUAL, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(200) if seed not in USUAL)]
"""Every third one is killed at the end: while it drains, closes, or has just ended."""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(
        ioc.prefix,
        service={"drain_s": 1.0},
        raw_file={"timeout_s": 5.0, "plugin": ""},
        channels=BY_ATTRIBUTE,
        preprocessing={"grouping": "sum"},
    )


class Kills:
    """Of one scan, by a seed: when the daemon is killed, and how often."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.chance = random.Random(seed)
        self.flushed: set[tuple[int, ...]] = set()
        """Frames of rows that a reader has seen in a file before a kill."""
        self.moments: list[str] = []
        self._rig = rig
        self._is_started = threading.Event()

    def at_some_time(self, scan_id: str, most_s: float) -> None:
        """Kill it after some time; one time in three again, while it loads, resumes or salvages."""
        time.sleep(self.chance.uniform(0, most_s))
        self._kill(scan_id)
        if self.chance.random() < 1 / 3 and self._is_started.wait(HANG_S):
            time.sleep(self.chance.uniform(0.5, 5))
            self._kill(scan_id)

    def start_again(self) -> None:
        """Start it, if it was killed; in the thread of the test, with which it would end."""
        if self._rig.child.exit_code is not None:
            self._rig.launch()
            self._is_started.set()

    def _kill(self, scan_id: str) -> None:
        path = self._rig.folder / f"{scan_id}_std.h5"
        try:
            with h5py.File(path, "r", libver="latest", swmr=True) as file:
                n = int(np.count_nonzero(file["/entry/live/key_data"][()]))
                self.flushed |= set(map(tuple, file["/entry/frames/unique_id"][:n].tolist()))
                self.moments.append(f"{n} rows, {file['/entry/run/state'][()].decode()}")
        except OSError:
            self.moments.append("no file")
        self._rig.kill()


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_any_moment_the_run_ends_as_if_it_had_not_been(rig: Rig, seed: int) -> None:
    n, k, scan_id = N_POSITIONS, FRAMES_PER_POSITION, f"kill{seed}"
    raw = rig.record(scan_id, n * k)
    assert rig.arm(scan_id, n_positions=n, frames_per_position=k, raw_file=str(raw)) == ""
    kills, number = Kills(rig, seed), rig.service.get("RunNumber")
    is_late = seed % 3 == 2
    killer = threading.Thread(target=kills.at_some_time, args=(scan_id, 0.3))
    begins_at = n if is_late else kills.chance.randrange(n)
    for position in range(n):
        if position == begins_at:
            killer.start()
        rig.beamline.put("X", 3.0 * position)
        rig.beamline.acquire(k, exposure_s=0.02)
        kills.start_again()
    if is_late:  # while it drains and closes
        rig.service.put("Stop", 1, wait=False)
        killer.start()
    while killer.is_alive() or rig.child.exit_code is not None:
        kills.start_again()
        killer.join(0.05)
    rig.child.wait_for("ready", HANG_S)
    rig.service.put("Stop", 1, wait=False)
    rig.service.wait_until(lambda: rig.service.get("State") in ENDED)
    said = f"{rig.service.get('Message')}; killed at {kills.moments}"
    print(f"seed {seed}: killed at {kills.moments}")
    assert (rig.service.get("ScanId"), rig.service.get("RunNumber"), rig.service.get("State")) == (
        scan_id,
        number,
        "COMPLETE",
    ), said
    truth = {name: column[-n * k :].reshape(n, k) for name, column in rig.truth().items()}
    with rig.open(scan_id) as file:
        ids = file["/entry/frames/unique_id"][()]
        assert kills.flushed <= set(map(tuple, ids.tolist())), said
        assert sorted(map(tuple, ids.tolist())) == list(map(tuple, truth["unique_id"].tolist())), said
        assert file["/entry/run/state"][()] == b"COMPLETE", said
        order = np.argsort(ids[:, 0])
        assert (file["/entry/keep"][()] == 1).all() and (file["/entry/frames/flags"][()] == 0).all(), said
        np.testing.assert_allclose(file["/entry/posx_m"][()][order], truth["x_m"].mean(axis=1), atol=2e-9)
        assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == []
    assert not list(rig.folder.glob("*_interrupted_*")) and not list(rig.folder.glob(".ptychostream/*/*.jsonl")), said

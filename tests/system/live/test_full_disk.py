"""A disk that takes no more while the daemon runs: the run fails with the reason, and the daemon takes the next one."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import pytest
from rig import Rig, Rigs

from stream_service.standard_file import validate_file

N = 4000
"""Frames of 64 KiB in 20 s, of which the disk takes the first: a test that is held up for seconds still fills it."""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16", "--shape", "128,128")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(ioc.prefix)


@contextmanager
def files_no_longer_than(n_bytes: int, rig: Rig) -> Iterator[None]:
    """Of the daemon: what it writes beyond that is refused, as by a disk or a quota that is full."""
    pid = rig.child.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def acquire(rig: Rig, n: int) -> None:
    rig.beamline.acquire(n, exposure_s=0.002, period_s=0.005)


def completes_a_run(rig: Rig, scan_id: str) -> None:
    assert rig.arm(scan_id, n_positions=20) == ""
    acquire(rig, 20)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    rig.service.wait_for("Health", "READY")


def test_disk_that_fills_up_in_mid_run_ends_this_run_only(rig: Rig) -> None:
    completes_a_run(rig, "before")
    assert rig.arm("full", n_positions=N) == ""
    path = rig.folder / "full_std.h5"
    rig.beamline.put_all(
        cam1__ImageMode="Multiple", cam1__NumImages=N, cam1__AcquireTime=0.002, cam1__AcquirePeriod=0.005
    )
    rig.beamline.put("cam1:Acquire", 1, wait=False)
    rig.service.wait_until(lambda: rig.service.get("Rows") >= 20)
    with h5py.File(path, "r", swmr=True) as reader:  # which holds the file all the while
        with files_no_longer_than(path.stat().st_size + (1 << 20), rig):
            assert rig.wait_for_end() == "FAILED"
            message = str(rig.service.get("Message"))
            assert f"{path}: could not write rows: the file would be larger than this system allows" in message
            n_rows = int(rig.service.get("Rows"))
        assert 20 <= n_rows < N
        data: Any = reader["/entry/data"]
        data.refresh()
        assert data.shape[0] >= n_rows and data[n_rows - 1].any()
    assert [found for found in validate_file(path) if found.level == "error"] == []
    with h5py.File(path) as file:
        entry: Any = file["/entry"]
        assert entry["run/state"][()] == b"FAILED"
        assert "larger than this system allows" in entry["run/message"][()].decode()
        assert entry["data"].shape[0] == n_rows == entry["ledger/stored"][()]
        assert entry["ledger/stored"][()] + entry["ledger/lost"][()] + entry["ledger/not_exposed"][()] == N
    rig.beamline.put("cam1:Acquire", 0)
    rig.beamline.wait_for("cam1:Acquire_RBV", "Done")
    completes_a_run(rig, "after")


@pytest.mark.further
def test_disk_that_is_full_at_the_first_frame_ends_this_run_only(rig: Rig) -> None:
    assert rig.arm("none", n_positions=20) == ""
    with files_no_longer_than(20_000, rig):
        acquire(rig, 20)
        assert rig.wait_for_end() == "FAILED"
        assert "none_std.h5: could not create the file: the file would be larger" in str(rig.service.get("Message"))
    assert not (rig.folder / "none_std.h5").exists()
    assert [path.name for path in rig.folder.iterdir() if path.name.endswith(".partial")] == []
    completes_a_run(rig, "none")


def test_disk_that_is_full_at_the_arming_refuses_it(rig: Rig) -> None:
    with files_no_longer_than(20_000, rig):
        said = rig.arm("tight", n_positions=20)
        assert "the file would be larger than this system allows" in said
    completes_a_run(rig, "tight")

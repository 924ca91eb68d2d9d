"""What the stream has lost is fetched from the file that NDFileHDF5 writes; the beamline tells what was exposed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import h5py
import numpy as np
import pytest
from rig import Rig, Rigs
from transports import ledger

from stream_service.core.frame_status import FrameStatus
from stream_service.run.live.raw_file import NOT_NAMED
from stream_service.standard_file.rules.validate import validate_file

pytestmark = pytest.mark.recovery

N = 6
LOST = (1, 3, 4, 6)
"""Of the frames of a scan, the first and the last among them."""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Iterator[Rig]:
    rig = rigs.beside(ioc.prefix, service={"drain_s": 1.0}, raw_file={"timeout_s": 3.0})
    yield rig
    rig.beamline.put_all(Sim__DropIds="", HDF1__Capture=0)
    rig.beamline.wait_for("HDF1:Capture_RBV", "Done")


def expose(rig: Rig, lost: Iterable[int], n_positions: int = N, k: int = 1) -> None:
    """A step scan, of which the stream loses some frames, counted from 1."""
    before = rig.counter()
    rig.beamline.put("Sim:DropIds", ",".join(str(before + n) for n in lost))
    for n in range(n_positions):
        rig.beamline.put("X", 3.0 * n)
        rig.beamline.acquire(k)


def check_file(rig: Rig, file: h5py.File, lost: Iterable[int], n_frames: int = N, k: int = 1) -> None:
    """The rows are of the last frames that the beamline has exposed, all of them, and lie where it was then."""
    truth = {name: column[-n_frames:] for name, column in rig.truth().items()}
    ids = file["/entry/frames/unique_id"][()]
    order = np.argsort(ids[:, 0])
    np.testing.assert_array_equal(ids[order], truth["unique_id"].reshape(-1, k))
    assert (file["/entry/frames/flags"][()] == 0).all() and (file["/entry/keep"][()] == 1).all()
    for name in ("x_m", "y_m"):
        there_m = truth[name].reshape(-1, k).mean(axis=1)
        np.testing.assert_allclose(file[f"/entry/pos{name}"][()][order], there_m, atol=2e-9)
    status = file["/entry/ledger/status"][()]
    assert (status[np.array(list(lost)) - 1] == FrameStatus.BACKFILLED).all()
    counts = ledger(file)
    assert counts["expected"] == counts["stored"] + counts["backfilled"] == n_frames
    assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == []


def test_from_a_file_that_is_closed(rig: Rig) -> None:
    raw = rig.record("closed", N)
    assert rig.arm("closed", n_positions=N, raw_file=str(raw)) == ""
    expose(rig, LOST)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    with rig.open("closed") as file:
        check_file(rig, file, LOST)
    assert "6 of 6 frames stored in 6 rows" in rig.service.get("Message")
    assert rig.service.get("FramesBackfilled") >= len(LOST) and rig.service.get("MissingIds") == ""


def test_those_that_came_damaged(rig: Rig) -> None:
    raw, before = rig.record("damaged", N), rig.counter()
    rig.beamline.put("Sim:TruncatedIds", f"{before + 2},{before + 6}")
    assert rig.arm("damaged", n_positions=N, raw_file=str(raw)) == ""
    expose(rig, (4,))
    rig.service.put("Stop", 1)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    rig.beamline.put("Sim:TruncatedIds", "")
    with rig.open("damaged") as file:
        check_file(rig, file, (2, 4, 6))
    assert "2 frames could not be used" in rig.service.get("Message")


def test_groups_that_were_given_up_and_those_still_open(rig: Rig) -> None:
    lost, k, n = (2, 4, 5, 6, 18), 3, 8
    raw = rig.record("groups", k * n)
    assert rig.arm("groups", n_positions=n, frames_per_position=k, raw_file=str(raw)) == ""
    expose(rig, lost, n, k)
    rig.service.put("Stop", 1)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    with rig.open("groups") as file:
        check_file(rig, file, lost, k * n, k)


def test_from_a_file_that_still_grows_named_by_its_plugin(ioc: Any, rigs: Rigs) -> None:
    rig = rigs.beside(ioc.prefix, service={"drain_s": 1.0}, raw_file={"plugin": f"{ioc.prefix}HDF1:"})
    rig.record("growing", 1000)
    assert rig.arm("growing", n_positions=N) == ""
    expose(rig, LOST)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    with rig.open("growing") as file:
        check_file(rig, file, LOST)
    rig.beamline.put_all(Sim__DropIds="", HDF1__Capture=0)
    rig.beamline.wait_for("HDF1:Capture_RBV", "Done")


@pytest.mark.further
def test_from_a_file_without_swmr_once_it_is_closed(ioc: Any, rigs: Rigs) -> None:
    rig = rigs.beside(ioc.prefix, service={"drain_s": 1.0}, raw_file={"timeout_s": 300.0})
    raw = rig.record("plain", 1000, swmr=False)
    assert rig.arm("plain", n_positions=N, raw_file=str(raw)) == ""
    expose(rig, LOST)
    rig.service.wait_until(lambda: "fetching 4 lost frames from" in rig.service.get("Message"))
    assert rig.service.get("State") == "DRAINING"
    rig.beamline.put_all(Sim__DropIds="", HDF1__Capture=0)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    with rig.open("plain") as file:
        check_file(rig, file, LOST)


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", NOT_NAMED),
        ("none_raw.h5", "none_raw.h5 is not there; waited 3 s for it"),
        ("yesterday_raw.h5", "yesterday_raw.h5 is not used"),
    ],
)
def test_what_cannot_be_fetched_is_named_and_why(rig: Rig, name: str, words: str) -> None:
    if name.startswith("yesterday"):
        rig.record("yesterday", 2)
        rig.beamline.acquire(2)
        rig.beamline.wait_for("HDF1:Capture_RBV", "Done")
    before = rig.counter()
    scan = f"without_{name.removesuffix('.h5')}"
    request = {"raw_file": str(rig.folder / name)} if name else {}
    assert rig.arm(scan, n_positions=N, **request) == ""
    expose(rig, LOST)
    assert rig.wait_for_end() == "INCOMPLETE"
    missing = f"{before + 1}, {before + 3}-{before + 4}, {before + 6}"
    message = rig.service.get("Message")
    assert f"2 of 6 frames stored in 2 rows, 4 lost (missing ids: {missing}); " in message and words in message
    assert rig.service.get("MissingIds") == missing
    with rig.open(scan) as file:
        assert file["/entry/frames/unique_id"][()].reshape(-1).tolist() == [before + 2, before + 5]

"""The frames of the simulated beamline, as a PVA client receives them, against its own record of what it sent."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beamline_client import BeamlineClient
from limits import HANG_S

from stream_service.pv_access import Context

RECORDING = (Path(__file__).parents[2] / "data" / "adcore_ntndarray.txt").read_text()
REQUEST = "field()record[queueSize=10000,pipeline=false]"
"""Room for every frame of a test: a client that is held up loses none."""
ATTEMPTS, FAST_NS = 20, 200_000_000
"""For 100 frames; half of what it can do at its best."""


def n_sent(client: BeamlineClient) -> int:
    return client.get("Sim:FramesSent_RBV") + client.get("Sim:FramesDuplicated_RBV")


class Frames:
    """A PVA subscription to one beamline's frames."""

    def __init__(self, prefix: str, n_before: int = 0) -> None:
        self.updates: list[Any] = []
        self._n_before = n_before
        self._context = Context("pva", nt=False)
        self._first = threading.Event()
        self._subscription = self._context.monitor(f"{prefix}Pva1:Image", self._note, request=REQUEST)
        assert self._first.wait(HANG_S), "no first update"

    def _note(self, update: Any) -> None:
        self.updates.append(update)
        self._first.set()

    def ids(self) -> list[int]:
        """uniqueIds in the order of arrival, the first (old) update left out."""
        return [update.uniqueId for update in self.updates[1:]]

    def wait_for(self, client: BeamlineClient) -> list[int]:
        """Wait until all has come that the beamline has sent; gives the uniqueIds."""
        n_here = n_sent(client) - self._n_before
        client.wait_until(lambda: len(self.ids()) >= n_here)
        return self.ids()

    def close(self) -> None:
        """End the subscription."""
        self._subscription.close()
        self._context.close()


@pytest.fixture
def start(start_ioc: Callable) -> Iterator[Callable[..., tuple[BeamlineClient, Frames]]]:
    """Start a beamline; gives its CA client and its frames."""
    open_things: list[Any] = []

    def begin(*arguments: str | Path) -> tuple[BeamlineClient, Frames]:
        ioc = start_ioc(*arguments)
        client, frames = BeamlineClient(ioc.prefix), Frames(ioc.prefix)
        open_things.extend([client, frames])
        client.put("Pva1:EnableCallbacks", 1)
        return client, frames

    yield begin
    for thing in open_things:
        thing.close()


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable) -> Any:
    return start_ioc("--shape", "32,48", "--stack", "1")


@pytest.fixture
def beamline(ioc: Any) -> Iterator[tuple[BeamlineClient, Frames]]:
    """CA client and frames of the beamline that the first tests share; it counts frames from 1 again."""
    client = BeamlineClient(ioc.prefix)
    client.put_all(Pva1__EnableCallbacks=1, cam1__ArrayCounter=0)
    frames = Frames(ioc.prefix, n_sent(client))
    yield client, frames
    frames.close()
    client.close()


def truth_of(client: BeamlineClient, path: Path) -> dict[str, np.ndarray]:
    client.put("Sim:TruthFile", str(path))
    client.put("Sim:SaveTruth", 1)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def test_a_new_subscriber_first_gets_the_last_old_frame(beamline: tuple[BeamlineClient, Frames]):
    client, _ = beamline
    client.acquire(5)
    late = Frames(client.prefix)
    assert late.updates[0].uniqueId == 5
    late.close()


def test_in_a_fly_scan_the_truth_is_what_the_readback_history_says(
    beamline: tuple[BeamlineClient, Frames], tmp_path: Path
):
    client, frames = beamline
    client.put_all(**{"X.VELO": 40.0, "X.ACCL": 0.0})
    readbacks = client.watch("X.RBV", "X.VAL")
    del readbacks[:]
    client.put("X", 4000.0, wait=False)  # far away: it is under way as long as there are frames
    client.acquire(20, exposure_s=0.01, period_s=0.02)
    truth = {name: rows[-20:] for name, rows in truth_of(client, tmp_path / "truth.npz").items() if rows.ndim == 1}
    middle_s = (truth["start_ns"] + truth["end_ns"]) / 2e9
    client.wait_until(lambda: readbacks[-1].timestamp_s > middle_s[-1])
    client.put("X.STOP", 1)

    times_s = [event.timestamp_s for event in readbacks if event.name == "X.RBV"]
    values = [event.value for event in readbacks if event.name == "X.RBV"]
    start_s = next(event.timestamp_s for event in readbacks if event.name == "X.VAL")
    history = np.interp(middle_s, [start_s, *times_s], [0.0, *values])
    assert len(values) > 2
    assert np.ptp(truth["x_m"]) > 10e-6
    np.testing.assert_allclose(truth["x_m"], -1e-6 * history, atol=1e-10)

    # The attribute is the last value CA had shown: late by up to one update, as on a real detector.
    posx = np.array([{a.name: a.value for a in update.attribute}["posx"] for update in frames.updates[1:]])
    # How much later than the exposure it was read out is the machine's, so it may be newer; it never goes back.
    assert np.isin(posx.round(6), np.round([0.0, *values], 6)).all()
    assert np.all(np.diff(posx) >= 0)
    shown_before = np.array([0.0, *values])[np.searchsorted(times_s, middle_s)]
    assert np.median(posx - shown_before) >= -1e-6


def test_faults_can_be_set_while_it_runs(beamline: tuple[BeamlineClient, Frames]):
    client, frames = beamline
    client.put("Sim:DropIds", "2-3")
    client.put("Sim:DuplicateIds", "5")
    client.acquire(6)
    assert frames.wait_for(client) == [1, 4, 5, 5, 6]
    client.put("Sim:DropIds", "")
    client.put("Sim:DropFraction", 1.0)
    client.acquire(3)
    client.put("Sim:DropFraction", 0.0)
    client.acquire(1)
    assert frames.wait_for(client) == [1, 4, 5, 5, 6, 10]
    client.put("Sim:DuplicateIds", "")


def test_setting_the_counter_back_begins_a_new_epoch(beamline: tuple[BeamlineClient, Frames], tmp_path: Path):
    client, frames = beamline
    client.acquire(2)
    client.put("cam1:ArrayCounter", 0)
    client.acquire(2)
    assert frames.wait_for(client) == [1, 2, 1, 2]
    epoch = truth_of(client, tmp_path / "truth.npz")["epoch"][-4:]
    assert (epoch - epoch[0]).tolist() == [0, 0, 1, 1]


def test_status_is_final_when_acquire_goes_back_to_zero(beamline: tuple[BeamlineClient, Frames]):
    client, _ = beamline
    client.put("Stats1:EnableCallbacks", 1)
    shown = {}
    events = client.watch(
        "cam1:Acquire_RBV",
        *("cam1:ArrayCounter_RBV", "cam1:NumImagesCounter_RBV", "Pva1:ArrayCounter_RBV", "Stats1:UniqueId_RBV"),
    )
    for n_images in (1, 3, 40):
        client.put("cam1:ArrayCounter", 0)
        client.put("Pva1:ArrayCounter", 0)
        del events[:]
        client.acquire(n_images)
        shown = {event.name: event.value for event in events[:-1]}
        assert (events[-1].name, events[-1].value) == ("cam1:Acquire_RBV", 0)
        assert shown["cam1:ArrayCounter_RBV"] == n_images
        assert shown["cam1:NumImagesCounter_RBV"] == n_images
        assert shown["Pva1:ArrayCounter_RBV"] == n_images
        assert shown["Stats1:UniqueId_RBV"] == n_images


def test_acquire_zero_stops_an_endless_acquisition(beamline: tuple[BeamlineClient, Frames]):
    client, frames = beamline
    client.put_all(cam1__ImageMode="Continuous", cam1__AcquireTime=0.001, cam1__AcquirePeriod=0.005)
    client.put("cam1:Acquire", 1, wait=False)
    client.wait_until(lambda: len(frames.ids()) >= 5)
    client.put("cam1:Acquire", 0)
    assert client.get("cam1:Acquire_RBV") == "Done"
    assert frames.wait_for(client) == list(range(1, client.get("cam1:ArrayCounter_RBV") + 1))


def test_readout_region_and_type_reach_the_frame(beamline: tuple[BeamlineClient, Frames]):
    client, frames = beamline
    client.acquire(1)
    client.put_all(cam1__SizeX=20, cam1__MinX=10, cam1__SizeY=8, cam1__MinY=4, cam1__DataType="UInt32")
    client.acquire(1)
    client.wait_until(lambda: len(frames.ids()) == 2)
    whole, part = (update.value for update in frames.updates[1:])
    assert part.dtype == np.uint32
    assert np.array_equal(part.reshape(8, 20), whole.reshape(32, 48)[4:12, 10:30])
    assert [(d.size, d.offset) for d in frames.updates[-1].dimension] == [(20, 10), (8, 4)]
    assert (client.get("cam1:ArraySizeX_RBV"), client.get("cam1:ArraySize_RBV")) == (20, 640)


def test_frames_look_like_those_of_a_real_ioc(start: Callable, tmp_path: Path):
    client, frames = start("--shape", "32,48")
    fresh = frames.updates[0]
    assert (fresh.value, fresh.uniqueId, list(fresh.dimension)) == (None, 0, [])

    client.put_all(X=12.5, Y=-3.0)
    client.acquire(3, exposure_s=0.01)
    client.wait_until(lambda: len(frames.ids()) == 3)

    frame = frames.updates[-1]
    assert repr(frame.type()) == RECORDING.split("# type\n", 1)[1].splitlines()[0]
    assert [d.size for d in frame.dimension] == [48, 32]
    assert frame.value.dtype == np.uint16
    assert frame.value.size == 32 * 48
    attributes = {a.name: (a.value, a.sourceType, a.source) for a in frame.attribute}
    assert next(iter(attributes)) == "ColorMode"
    assert attributes["posx"] == (12.5, 2, f"{client.prefix}X.RBV")
    assert attributes["posy"] == (-3.0, 2, f"{client.prefix}Y.RBV")
    assert attributes["energy"][0] == 710.0
    assert attributes["ArrayCounter"] == (3, 1, "ARRAY_COUNTER")
    assert attributes["AcquireTime"][0] == 0.01

    truth = truth_of(client, tmp_path / "truth.npz")
    sent_ns = [u.timeStamp.secondsPastEpoch * 10**9 + u.timeStamp.nanoseconds for u in frames.updates[1:]]
    assert sent_ns == truth["end_ns"].tolist()
    assert np.all(truth["end_ns"] - truth["start_ns"] == 10_000_000)
    assert truth["x_m"].tolist() == pytest.approx([-12.5e-6] * 3)  # the stage moves the sample
    assert frames.ids() == truth["unique_id"].tolist() == [1, 2, 3]


def test_dropped_and_duplicated_frames_are_those_in_the_record(start: Callable, tmp_path: Path):
    client, frames = start(
        *("--shape", "32,48", "--stack", "4", "--seed", "3", "--drop", "0.05", "--drop-ids", "1,400"),
        *("--duplicate", "0.02", "--duplicate-ids", "7"),
    )
    client.acquire(400, exposure_s=0.0, period_s=0.001)
    assert client.get("Sim:FramesSent_RBV") == 400 - client.get("Sim:FramesDropped_RBV")
    frames.wait_for(client)

    truth = truth_of(client, tmp_path / "truth.npz")
    expected = np.repeat(truth["unique_id"], [{"sent": 1, "dropped": 0, "duplicated": 2}[f] for f in truth["status"]])
    assert frames.ids() == expected.tolist()
    assert {1, 400}.isdisjoint(frames.ids())
    assert frames.ids().count(7) == 2
    assert 5 <= client.get("Sim:FramesDropped_RBV") <= 45
    assert client.get("cam1:ArrayCounter_RBV") == 400


def test_wrong_clocks_stamp_frames_and_readbacks_and_the_truth_is_true(start: Callable, tmp_path: Path):
    client, frames = start(
        *("--shape", "32,48", "--stack", "2", "--frame-clock-offset", "100", "--frame-clock-step", "-300@3"),
        *("--frame-clock-freeze", "5-6", "--far-ids", "2", "--motor-clock-step", "-50000@4"),
    )
    client.put("X", 1.0)
    readbacks = client.watch("X.RBV")
    client.acquire(6)
    client.put("X", 2.0)
    client.put("Sim:MotorClockOffset", -1000000.0)
    client.put("X", 3.0)
    client.wait_until(lambda: readbacks[-1].value == 3.0)
    frames.wait_for(client)
    truth = truth_of(client, tmp_path / "truth.npz")
    stamps_ns = [u.timeStamp.secondsPastEpoch * 10**9 + u.timeStamp.nanoseconds for u in frames.updates[1:]]
    late_s = np.rint((np.array(stamps_ns) - truth["end_ns"]) / 1e9).astype(int)
    assert late_s[:5].tolist() == [100, 100, -200, -200, -200]
    assert stamps_ns[3] == stamps_ns[4] == stamps_ns[5]
    assert frames.ids() == [1, 4_000_002, 3, 4, 5, 6]
    assert truth["unique_id"].tolist() == [1, 2, 3, 4, 5, 6]
    steps_s = np.diff([event.timestamp_s for event in readbacks if event.value in (1.0, 2.0, 3.0)])
    assert steps_s == pytest.approx([-50000, -1000000], abs=HANG_S)


def test_a_stack_goes_out_at_a_thousand_frames_a_second_and_none_is_lost(start: Callable, tmp_path: Path):
    """Of several acquisitions one: tests share their machine."""
    client, frames = start("--shape", "128,128", "--stack", "16")
    for n_taken in range(500, 500 * (ATTEMPTS + 1), 500):
        client.acquire(500, exposure_s=0.0005, period_s=0.001)
        assert frames.wait_for(client) == list(range(1, n_taken + 1))
        ends_ns = truth_of(client, tmp_path / "truth.npz")["end_ns"][-500:]
        if (ends_ns[100:] - ends_ns[:-100]).min() < FAST_NS:
            return
    pytest.fail("100 frames never went out within 0.2 s")

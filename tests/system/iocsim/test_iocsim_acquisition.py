"""The schedule of exposures, without EPICS and in a time of our own."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from limits import HANG_S

from iocsim.detector import acquisition as module
from iocsim.detector.acquisition import LONGEST_BACKLOG_S, Acquisition, ExposureSettings, FrameCounter, Series
from iocsim.detector.faulty_frames import FaultyFrames
from iocsim.detector.frames import Conditions
from iocsim.detector.interruptions import Interruptions
from iocsim.detector.ndarray import NDArray
from iocsim.detector.readout import Readout
from iocsim.physics.drifts import Drifts
from iocsim.physics.frame_faults import FaultKind, FrameFaults
from iocsim.physics.pixel_faults import Sensor
from iocsim.pv import PvTable
from iocsim.truth import Copies

UINT16 = np.dtype(np.uint16)
START_NS = 1_800_000_000_000_000_000
MS = 1_000_000
ALL_SOUND = FrameFaults()


class Clock:
    """The time of a machine that does nothing else; takes the place of `time` and of the wait for a stop."""

    now_ns = START_NS

    def time_ns(self) -> int:
        return self.now_ns

    def pass_by(self, seconds: float) -> None:
        self.now_ns += round(1e9 * seconds)

    def wait(self, seconds: float) -> bool:
        self.pass_by(seconds)
        return False

    def is_set(self) -> bool:
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@dataclass
class SlowFrames:
    """A source whose frames take a given time to make, and some of them longer."""

    clock: Clock | None = None
    frame_s: float = 0.0
    held_up_s: dict[int, float] | None = None
    raw_shape: tuple[int, int] = (4, 6)
    dtype: np.dtype[Any] = UINT16

    def frame(self, index: int, *_: object) -> np.ndarray:
        if self.clock is not None:
            self.clock.pass_by((self.held_up_s or {}).get(index, self.frame_s))
        return np.full(self.raw_shape, index, self.dtype)


class MovingStage:
    """Stands in for the endstation: x is the time itself, and the shutter is open."""

    def __init__(self) -> None:
        self.shutter = self

    def is_open_at(self, time_ns: int) -> bool:
        return time_ns > 0

    def conditions_at(self, time_ns: int) -> Conditions:
        return Conditions(time_ns * 1e-9, 0.0, 710.0, 500.0, shutter_open=self.shutter.is_open_at(time_ns))


class TrueClock:
    """Stands in for the detector's clock."""

    def moving(self, true_ns: int, _: int) -> int:
        return true_ns

    stamp = moving


class Kept:
    """Stands in for what the frames go to."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self.sent: list[NDArray] = []
        self.is_ended = False

    def begin(self, series: Series) -> None:
        self.series.append(series)

    def send(self, array: NDArray) -> Copies:
        self.sent.append(array)
        return Copies(pva=1)

    def end(self) -> None:
        self.is_ended = True


class Record:
    """Stands in for the truth."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def record(self, *row: Any) -> None:
        self.rows.append(row)


def acquisition_of(
    n_images: int | None,
    exposure_s: float,
    period_s: float,
    source: SlowFrames,
    faults: FrameFaults = ALL_SOUND,
    energy_goes_wrong: Callable[[float, int], None] = lambda factor, time_ns: None,
) -> tuple[Acquisition, list[NDArray], Record]:
    record, kept, counter = Record(), Kept(), FrameCounter()
    counter.n_taken = 10
    readout = Readout.within((4, 6), np.dtype(np.uint16))

    acquisition = Acquisition(
        FaultyFrames(source, Sensor(65535.0), lambda: faults, Drifts),
        MovingStage(),  # type: ignore[arg-type]
        lambda: ExposureSettings(exposure_s, period_s, readout),
        lambda unique_id: (),
        kept,
        counter,
        record,  # type: ignore[arg-type]
        TrueClock(),  # type: ignore[arg-type]
        energy_goes_wrong,
        n_images=n_images,
        interruptions=Interruptions(PvTable("SIM:Sim:")),
        keeps_checksums=False,
    )
    return acquisition, kept.sent, record


def expose(
    clock: Clock, n_images: int, exposure_s: float, period_s: float, frame_s: float = 0.0, **held_up_s: float
) -> tuple[np.ndarray, list[NDArray], Record]:
    """Expose; gives the ends of the exposures since the start, in ns. `frame7=2.0`: frame 7 takes 2 s to make."""
    held_up = {10 + int(name.removeprefix("frame")): seconds for name, seconds in held_up_s.items()}
    acquisition, sent, record = acquisition_of(n_images, exposure_s, period_s, SlowFrames(clock, frame_s, held_up))
    acquisition._stop = clock  # type: ignore[assignment]
    acquisition.run()
    return np.array([array.timestamp_ns for array in sent]) - START_NS, sent, record


def test_exposures_follow_an_absolute_schedule_to_the_nanosecond(clock: Clock):
    ends_ns, sent, _ = expose(clock, 200, exposure_s=0.001, period_s=0.004)
    assert ends_ns.tolist() == [MS + 4 * MS * n for n in range(200)]
    assert [array.unique_id for array in sent] == list(range(1, 201))
    assert [array.pixels[0, 0] for array in sent] == list(range(10, 210))


def test_schedule_is_met_again_after_a_hold_up(clock: Clock):
    ends_ns, *_ = expose(clock, 200, exposure_s=0.001, period_s=0.004, frame50=0.03)
    on_schedule = ends_ns == MS + 4 * MS * np.arange(200)
    assert on_schedule[:52].all() and not on_schedule[52:59].any() and on_schedule[70:].all()


def test_schedule_begins_anew_after_a_long_hold_up(clock: Clock):
    """No burst of exposures to make up for it."""
    held_up_s = LONGEST_BACKLOG_S + 0.5
    ends_ns, *_ = expose(clock, 20, exposure_s=0.001, period_s=0.004, frame9=held_up_s)
    assert np.diff(ends_ns[:10]).tolist() == [4 * MS] * 9
    assert np.diff(ends_ns[12:]).tolist() == [4 * MS] * 7
    assert ends_ns[-1] - ends_ns[9] > 1e9 * held_up_s


def test_a_frame_belongs_to_the_middle_of_its_exposure(clock: Clock):
    _, _, record = expose(clock, 3, exposure_s=0.01, period_s=0.0)
    for _, _, x_m, _, start_ns, end_ns, *_ in record.rows:
        assert end_ns - start_ns == 10 * MS
        assert x_m == pytest.approx((start_ns + end_ns) * 0.5e-9, abs=1e-6)


def test_a_frame_is_made_while_the_next_is_exposed(clock: Clock):
    ends_ns, *_ = expose(clock, 10, exposure_s=0.01, period_s=0.01, frame_s=0.007)
    assert ends_ns.tolist() == [10 * MS * n for n in range(1, 11)]
    assert clock.now_ns - START_NS == 107 * MS


def test_an_acquisition_that_cannot_keep_up_exposes_no_further_ahead_than_one_frame(clock: Clock):
    ends_ns, *_ = expose(clock, 10, exposure_s=0.001, period_s=0.001, frame_s=0.01)
    assert np.all(np.diff(ends_ns)[1:] >= 9 * MS)


def test_stop_ends_the_exposure_under_way_without_a_frame():
    acquisition, sent, _ = acquisition_of(None, 3600.0, 3600.0, SlowFrames())
    thread = threading.Thread(target=acquisition.run)
    thread.start()
    acquisition.stop()
    thread.join(HANG_S)
    assert not thread.is_alive()
    assert sent == []


def test_counting_back_is_a_new_epoch_and_counting_on_is_not():
    counter = FrameCounter()
    counter.set(5)
    assert counter.next() == (6, 0)
    counter.set(0)
    assert counter.next() == (1, 1)


def test_the_energy_goes_wrong_for_its_exposures_and_is_right_again_in_the_end(clock: Clock):
    shown: list[tuple[float, int]] = []
    faults = FrameFaults(ids={FaultKind.WRONG_ENERGY: frozenset({2, 4}), FaultKind.REPEATED: frozenset({3})})
    acquisition, sent, record = acquisition_of(
        4, 0.001, 0.004, SlowFrames(clock), faults, lambda factor, time_ns: shown.append((factor, time_ns - START_NS))
    )
    acquisition._stop = clock  # type: ignore[assignment]
    acquisition.run()
    wrong = [fault.energy_factor for unique_id in (2, 4) if (fault := faults.of(unique_id)) is not None]
    assert 1.0 not in wrong
    assert shown == [(wrong[0], 4 * MS), (1.0, 8 * MS), (wrong[1], 12 * MS), (1.0, 13 * MS)]
    assert [row[6] for row in record.rows] == [710.0, wrong[0] * 710.0, 710.0, wrong[1] * 710.0]
    assert sent[2].pixels.tolist() == sent[1].pixels.tolist()

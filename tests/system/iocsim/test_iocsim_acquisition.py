"""The schedule of exposures, without EPICS."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from iocsim.detector.acquisition import Acquisition, ExposureSettings, FrameCounter
from iocsim.detector.ndarray import NDArray
from iocsim.detector.readout import Readout
from iocsim.physics.endstation import Conditions

UINT16 = np.dtype(np.uint16)


@dataclass
class SlowFrames:
    """A source whose frames take a given time to make."""

    frame_s: float = 0.0
    raw_shape: tuple[int, int] = (4, 6)
    dtype: np.dtype[Any] = UINT16

    def frame(self, index: int, *_: object) -> np.ndarray:
        if self.frame_s:
            time.sleep(self.frame_s)
        return np.full(self.raw_shape, index, self.dtype)


class MovingStage:
    """Stands in for the endstation: x is the time itself."""

    def conditions_at(self, time_ns: int) -> Conditions:
        return Conditions(time_ns * 1e-9, 0.0, 710.0, 500.0, True)


class Record:
    """Stands in for the truth."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def record(self, *row: Any) -> None:
        self.rows.append(row)


def expose(n_images: int | None, exposure_s: float, period_s: float, frame_s: float = 0.0) -> tuple[Any, ...]:
    sent: list[NDArray] = []
    record = Record()
    readout = Readout.within((4, 6), np.dtype(np.uint16))

    def send(array: NDArray) -> int:
        sent.append(array)
        return 1

    acquisition = Acquisition(
        SlowFrames(frame_s),
        MovingStage(),  # type: ignore[arg-type]
        lambda: ExposureSettings(exposure_s, period_s, readout),
        lambda unique_id: (),
        send,
        FrameCounter(),
        record,  # type: ignore[arg-type]
        lambda true_ns, _: true_ns,
        n_images=n_images,
        first_index=10,
        keeps_checksums=False,
    )
    return acquisition, sent, record


def test_exposures_follow_an_absolute_schedule_to_the_nanosecond():
    acquisition, sent, _ = expose(200, exposure_s=0.001, period_s=0.004)
    acquisition.run()
    ends_ns = np.array([array.timestamp_ns for array in sent])
    # A held-up machine may start some exposures late; the schedule is met again after them.
    _, n_of_phase = np.unique(ends_ns % 4_000_000, return_counts=True)
    assert n_of_phase.max() > 100
    assert np.median(np.diff(ends_ns)) == 4_000_000
    assert [array.unique_id for array in sent] == list(range(1, 201))
    assert [array.pixels[0, 0] for array in sent] == list(range(10, 210))


def test_a_frame_belongs_to_the_middle_of_its_exposure():
    acquisition, _, record = expose(3, exposure_s=0.01, period_s=0.0)
    acquisition.run()
    for _, _, x_m, _, start_ns, end_ns, *_ in record.rows:
        assert end_ns - start_ns == 10_000_000
        assert x_m == pytest.approx((start_ns + end_ns) * 0.5e-9, abs=1e-6)


def test_a_frame_is_made_while_the_next_is_exposed():
    acquisition, *_ = expose(10, exposure_s=0.01, period_s=0.01, frame_s=0.007)
    started_s = time.monotonic()
    acquisition.run()
    assert time.monotonic() - started_s < 0.15  # one after the other it would be 0.17 s


def test_an_acquisition_that_cannot_keep_up_exposes_no_further_ahead_than_one_frame():
    acquisition, sent, _ = expose(10, exposure_s=0.001, period_s=0.001, frame_s=0.01)
    acquisition.run()
    gaps_ns = np.diff([array.timestamp_ns for array in sent])
    assert np.all(gaps_ns[1:] >= 9_000_000)


def test_stop_ends_the_exposure_under_way_without_a_frame():
    acquisition, sent, _ = expose(None, exposure_s=60.0, period_s=60.0)
    thread = threading.Thread(target=acquisition.run)
    thread.start()
    acquisition.stop()
    thread.join(5.0)
    assert not thread.is_alive()
    assert sent == []


def test_counting_back_is_a_new_epoch_and_counting_on_is_not():
    counter = FrameCounter()
    counter.set(5)
    assert counter.next() == (6, 0)
    counter.set(0)
    assert counter.next() == (1, 1)

"""One acquisition: exposures on a schedule, each made into an NDArray and handed on. Runs in a thread of its own.

It knows no PVs. The schedule is absolute, so the mean rate is right whatever single frames take, and exposures begin
and end at its times to the nanosecond; an acquisition that cannot keep up runs as fast as it can. The timestamp of a
frame is the end of its exposure by the detector's clock, its attributes are read after that, and its pixels belong to
where the stage truly was in the middle.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from iocsim.clocks import FaultyClock
from iocsim.detector.faulty_frames import FaultyFrames
from iocsim.detector.interruptions import Interruptions
from iocsim.detector.ndarray import NDArray, NDAttribute, SourceType
from iocsim.detector.readout import Readout
from iocsim.physics.endstation import Endstation
from iocsim.truth import Copies, Truth

SHORTEST_WAIT_S = 50e-6
"""Waiting costs about this much on Linux; a shorter lead is not worth it."""
INT32 = 1 << 31
"""areaDetector counts frames in 32 bits, with a sign: what runs over goes on below zero."""
LONGEST_BACKLOG_S = 1.0
"""A schedule that is later than this is given up and starts anew: no burst after a long hold-up."""

COLOR_MODE = NDAttribute("ColorMode", 0, "Color mode", SourceType.DRIVER, "Driver")


@dataclass(frozen=True, slots=True)
class ExposureSettings:
    """Settings of the detector's PVs at the start of an exposure."""

    exposure_s: float
    period_s: float
    """Start to start; shorter than the exposure means back to back."""
    readout: Readout


@dataclass(frozen=True, slots=True)
class Series:
    """What is known of an acquisition when it begins."""

    n_images: int | None
    """None: until it is stopped."""
    settings: ExposureSettings
    energy_eV: float
    armed_ns: int
    """When it began, by the detector's clock (Unix ns)."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.settings.readout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type of a frame."""
        return self.settings.readout.dtype


class Output(Protocol):
    """Where the frames of an acquisition go; in the driver's thread."""

    def begin(self, series: Series) -> None:
        """An acquisition begins."""
        ...

    def send(self, array: NDArray) -> Copies:
        """Hand on a frame; gives the times it was given to each transport."""
        ...

    def end(self) -> None:
        """The acquisition is over."""
        ...


class FrameCounter:
    """`ArrayCounter` and the epoch: the generation of the counter, one more each time it is set back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0
        self.epoch = 0
        self.n_taken = 0
        """Frames since the start of iocsim, whatever their numbers."""

    @property
    def following(self) -> int:
        """The uniqueId of the frame that is taken next."""
        following = self.value + 1
        return -INT32 if following == INT32 else following

    def next(self) -> tuple[int, int]:
        """Count one frame; gives its uniqueId and its epoch."""
        with self._lock:
            following = self.following
            self.epoch += following < self.value
            self.value = following
            self.n_taken += 1
            return self.value, self.epoch

    def restart(self) -> None:
        """Begin a new counting at 0, whatever was counted."""
        with self._lock:
            self.epoch += 1
            self.value = 0

    def set(self, value: int) -> None:
        """Go on from this number."""
        with self._lock:
            if value < self.value:
                self.epoch += 1
            self.value = value


class Acquisition:
    """A series of exposures; `run` in a thread, `stop` from any other."""

    def __init__(
        self,
        source: FaultyFrames,
        endstation: Endstation,
        settings: Callable[[], ExposureSettings],
        attributes: Callable[[int], tuple[NDAttribute, ...]],
        output: Output,
        counter: FrameCounter,
        truth: Truth,
        clock: FaultyClock,
        energy_goes_wrong: Callable[[float, int], None],
        *,
        n_images: int | None,
        interruptions: Interruptions,
        keeps_checksums: bool,
    ) -> None:
        """`attributes` gives the NDAttributes of a frame by its uniqueId; `clock` is the detector's;
        `energy_goes_wrong` lets the PVs show so much of the energy from a time on.

        `n_images` None is endless.
        """
        self._source = source
        self._endstation = endstation
        self._settings = settings
        self._attributes = attributes
        self._output = output
        self._counter = counter
        self._truth = truth
        self._clock = clock
        self._energy_goes_wrong = energy_goes_wrong
        self._energy_factor = 1.0
        self._n_images = n_images
        self._interruptions = interruptions
        self._keeps_checksums = keeps_checksums
        self._stop = threading.Event()
        self.n_done = 0
        """Frames made so far; read by the event loop."""
        self.exposure_end_ns = 0
        """When the exposure under way ends; for TimeRemaining."""

    def stop(self) -> None:
        """End now: the exposure under way gives no frame."""
        self._stop.set()

    @property
    def is_stopped(self) -> bool:
        """Someone asked for the end."""
        return self._stop.is_set()

    def run(self) -> None:
        """Expose until all images are made or `stop` is called.

        The sensor is double-buffered: an exposure may run while the frame before it is made, and no further.
        """
        self._output.begin(self._series(time.time_ns()))
        try:
            self._expose_all()
        finally:
            self._output.end()
            self._show_energy(1.0, time.time_ns())

    def _series(self, now_ns: int) -> Series:
        energy_eV = self._endstation.conditions_at(now_ns).energy_eV
        armed_ns = self._clock.moving(now_ns, self._counter.following)
        return Series(self._n_images, self._settings(), energy_eV, armed_ns)

    def _expose_all(self) -> None:
        planned_ns = free_ns = time.time_ns()
        while self._n_images is None or self.n_done < self._n_images:
            settings = self._settings()
            start_ns = max(planned_ns, free_ns)
            end_ns = start_ns + round(settings.exposure_s * 1e9)
            self.exposure_end_ns = end_ns
            self._show_energy(self._energy_factor_of_next(start_ns), start_ns)
            lead_s = (end_ns - time.time_ns()) / 1e9
            if self._stop.wait(lead_s) if lead_s > SHORTEST_WAIT_S else self._stop.is_set():
                return
            free_ns = end_ns if lead_s > 0.0 else time.time_ns()
            self._interruptions.before(self._counter.following)
            if self._stop.is_set():
                return
            self._read_out(settings, start_ns, end_ns)
            self.n_done += 1
            if self._interruptions.stops_after(self._counter.value):
                return
            planned_ns += round(max(settings.period_s, settings.exposure_s) * 1e9)
            if free_ns - planned_ns > LONGEST_BACKLOG_S * 1e9:
                planned_ns = free_ns

    def _energy_factor_of_next(self, start_ns: int) -> float:
        fault = self._source.fault_of(self._counter.following)
        return fault.energy_factor if fault is not None and self._endstation.shutter.is_open_at(start_ns) else 1.0

    def _show_energy(self, factor: float, time_ns: int) -> None:
        if factor != self._energy_factor:
            self._energy_goes_wrong(factor, time_ns)
            self._energy_factor = factor

    def _read_out(self, settings: ExposureSettings, start_ns: int, end_ns: int) -> None:
        endstation, readout = self._endstation, settings.readout
        there = endstation.conditions_at((start_ns + end_ns) // 2)
        attributes = self._attributes(self._counter.following)
        next_id = self._counter.following
        taken = self._source.take(next_id, self._counter.n_taken, settings.exposure_s, there)
        pixels = readout.apply(taken.frame)
        unique_id, epoch = self._counter.next()
        array = NDArray(
            pixels=pixels,
            unique_id=unique_id,
            timestamp_ns=self._clock.stamp(end_ns, unique_id),
            attributes=(COLOR_MODE, *attributes),
            offset=(readout.min_x, readout.min_y),
            binning=(readout.bin_x, readout.bin_y),
            reverse=(readout.reverse_x, readout.reverse_y),
            exposure_ns=end_ns - start_ns,
            number=self.n_done,
        )
        copies = self._output.send(array)
        self._truth.record(
            unique_id,
            epoch,
            there.x_m,
            there.y_m,
            start_ns,
            end_ns,
            taken.energy_eV,
            settings.exposure_s,
            copies.status,
            pixels if self._keeps_checksums else None,
            taken.fault,
            copies,
        )

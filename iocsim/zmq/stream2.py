"""Stream2 of a DECTRIS control unit: one CBOR map a message; start, image and end.

Each image says by itself when its series began and when it was exposed, and has a name for each of its channels.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import cbor2
import numpy as np
from numpy.typing import NDArray as Array

from iocsim.detector.ndarray import Compressed, NDArray
from iocsim.zmq.pixel_encodings import PixelEncoding, framed_bslz4, framed_lz4, little_endian
from iocsim.zmq.series import WAVELENGTH_A_EV, Announced, Message, date_of

DATE, MULTI_DIM_ARRAY, COMPRESSED = 0, 40, 56500
TYPED_ARRAYS = {
    "u1": 64, "u2": 69, "u4": 70, "u8": 71,
    "i1": 72, "i2": 77, "i4": 78, "i8": 79,
    "f4": 85, "f8": 86,
}  # fmt: skip
"""Tags of RFC 8746, little-endian."""
TIME_BASE_HZ = 1_000_000_000
ARMED_BEFORE_NS = 50_000_000
"""The arm command is issued before the series begins, to which times refer."""


class Stream2Series:
    """The messages of one series."""

    def __init__(self, announced: Announced, n_channels: int, encoding: PixelEncoding) -> None:
        """The first of two channels has the pixels, the second half of what they read: a higher threshold."""
        self._announced = announced
        self._channels = [f"threshold_{number + 1}" for number in range(n_channels)]
        self._encoding = encoding
        self._unique_id = uuid.uuid4().hex
        self._date = _date(announced.arm_date)

    def start(self) -> Message:
        """The configuration."""
        announced, series = self._announced, self._announced.series
        rows, columns = series.shape
        return self._message(
            "start",
            arm_date=_date(date_of(announced.armed_ns - ARMED_BEFORE_NS)),
            beam_center_x=columns / 2,
            beam_center_y=rows / 2,
            channels=self._channels,
            count_time=announced.exposure_s,
            countrate_correction_enabled=False,
            detector_description="Simulated camera",
            detector_serial_number="1",
            detector_translation=[0.0, 0.0, -0.1],
            flatfield_enabled=False,
            frame_time=announced.period_s,
            goniometer={},
            image_dtype=series.dtype.name,
            image_size_x=columns,
            image_size_y=rows,
            incident_energy=series.energy_eV,
            incident_wavelength=WAVELENGTH_A_EV / series.energy_eV,
            number_of_images=announced.n_images,
            pixel_mask_enabled=False,
            pixel_size_x=7.5e-05,
            pixel_size_y=7.5e-05,
            saturation_value=_largest(series.dtype),
            sensor_material="Si",
            sensor_thickness=0.00045,
            threshold_energy={name: series.energy_eV * (number + 1) / 2 for number, name in enumerate(self._channels)},
            user_data=None,
            virtual_pixel_interpolation_enabled=False,
        )

    def image(self, array: NDArray) -> Message:
        """The pixels of every channel, and when they were exposed."""
        pixels, start_ns = little_endian(array.pixels), self._announced.start_ns(array)
        return self._message(
            "image",
            data={
                name: self._encoded(pixels if n == 0 else pixels // 2, array.compressed)
                for n, name in enumerate(self._channels)
            },
            image_id=array.number,
            real_time=[array.exposure_ns, TIME_BASE_HZ],
            series_date=self._date,
            start_time=[start_ns, TIME_BASE_HZ],
            stop_time=[start_ns + array.exposure_ns, TIME_BASE_HZ],
            user_data=None,
        )

    def end(self) -> Message:
        """That there are no more."""
        return self._message("end")

    def _message(self, kind: str, **fields: Any) -> Message:
        series = {"series_id": self._announced.number, "series_unique_id": self._unique_id}
        return [cbor2.dumps({"type": kind, **fields, **series})]

    def _encoded(self, pixels: Array[Any], damaged: Compressed | None) -> cbor2.CBORTag:
        """Of an image that is damaged on its way the payload is sent in place of the pixels."""
        content = self._bytes(pixels)
        if damaged is not None and isinstance(content, bytes):
            content = damaged.payload
        elif damaged is not None:
            content.value[2] = damaged.payload
        typed = cbor2.CBORTag(TYPED_ARRAYS[pixels.dtype.str[1:]], content)
        return cbor2.CBORTag(MULTI_DIM_ARRAY, [list(pixels.shape), typed])

    def _bytes(self, pixels: Array[Any]) -> Any:
        match self._encoding:
            case "none":
                return pixels.tobytes()
            case "lz4":
                return cbor2.CBORTag(COMPRESSED, ["lz4", 0, framed_lz4(pixels)])
        return cbor2.CBORTag(COMPRESSED, ["bslz4", pixels.itemsize, framed_bslz4(pixels)])


def _date(date: datetime) -> cbor2.CBORTag:
    return cbor2.CBORTag(DATE, date.isoformat(timespec="microseconds"))


def _largest(dtype: np.dtype[Any]) -> int:
    """The largest whole number that a pixel can read."""
    return int(np.iinfo(dtype).max) if dtype.kind in "iu" else 2**24

"""SIMPLON stream v1 of a DECTRIS control unit: messages of several parts, JSON and buffers.

A header when the detector is armed (`header_detail` says how many parts it has), four parts for each image, one at the
end of the series. Shapes are x first, images count from 0 in each series, and times are ns since arming: the only date
is `data_collection_date` in the configuration.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

import numpy as np

from iocsim.detector.ndarray import NDArray
from iocsim.zmq.pixel_encodings import PixelEncoding, bare_lz4, framed_bslz4, little_endian
from iocsim.zmq.series import WAVELENGTH_A_EV, Announced, Message

HeaderDetail = Literal["none", "basic", "all"]
DETAILS: tuple[HeaderDetail, ...] = ("none", "basic", "all")
COUNTRATES = np.array([[0.0, 1e5, 1e6], [0.0, 1.01e5, 1.1e6]], np.float32)
"""Measured rates and true ones."""


class SimplonSeries:
    """The messages of one series."""

    def __init__(self, announced: Announced, detail: HeaderDetail, encoding: PixelEncoding) -> None:
        self._announced = announced
        self._detail = detail
        self._encoding = encoding

    def start(self) -> Message:
        """One part, with the configuration two, with the tables of corrections eight."""
        header = _json(htype="dheader-1.0", series=self._announced.number, header_detail=self._detail)
        match self._detail:
            case "none":
                return [header]
            case "basic":
                return [header, _json(**self._configuration())]
        shape = self._announced.series.shape
        tables = (
            ("dflatfield-1.0", np.ones(shape, np.float32)),
            ("dpixelmask-1.0", np.zeros(shape, np.uint32)),
            ("dcountrate_table-1.0", COUNTRATES),
        )
        parts = [header, _json(**self._configuration())]
        for htype, table in tables:
            parts += [_json(htype=htype, shape=table.shape[::-1], type=table.dtype.name), table.tobytes()]
        return parts

    def image(self, array: NDArray) -> Message:
        """Which image it is; how its pixels are sent; the pixels; when it was exposed."""
        encoding, blob = self._encoded(array)
        start_ns = self._announced.start_ns(array)
        return [
            _json(
                htype="dimage-1.0",
                series=self._announced.number,
                frame=array.number,
                hash=hashlib.md5(blob, usedforsecurity=False).hexdigest(),
            ),
            _json(
                htype="dimage_d-1.0",
                shape=array.dimensions,
                type=array.pixels.dtype.name,
                encoding=encoding,
                size=len(blob) if isinstance(blob, bytes) else blob.nbytes,
            ),
            blob,
            _json(
                htype="dconfig-1.0",
                start_time=start_ns,
                stop_time=start_ns + array.exposure_ns,
                real_time=array.exposure_ns,
            ),
        ]

    def end(self) -> Message:
        """One part."""
        return [_json(htype="dseries_end-1.0", series=self._announced.number)]

    def _encoded(self, array: NDArray) -> tuple[str, Any]:
        """The name of the encoding, and the buffer."""
        pixels = little_endian(array.pixels)
        match self._encoding:
            case "none":
                name, blob = "<", pixels
            case "lz4":
                name, blob = "lz4<", bare_lz4(pixels)
            case _:
                name, blob = f"bs{8 * pixels.itemsize}-lz4<", framed_bslz4(pixels)
        return name, blob if array.compressed is None else array.compressed.payload  # damaged on its way

    def _configuration(self) -> dict[str, Any]:
        announced, series = self._announced, self._announced.series
        rows, columns = series.shape
        bits = 8 * series.dtype.itemsize
        return {
            "auto_summation": True,
            "beam_center_x": columns / 2,
            "beam_center_y": rows / 2,
            "bit_depth_image": bits,
            "bit_depth_readout": bits,
            "count_time": announced.exposure_s,
            "countrate_correction_applied": False,
            "data_collection_date": announced.arm_date.isoformat(timespec="microseconds"),
            "description": "Simulated camera",
            "detector_distance": 0.1,
            "detector_number": "1",
            "detector_readout_time": 0.0,
            "flatfield_correction_applied": False,
            "frame_time": announced.period_s,
            "nimages": announced.n_images,
            "ntrigger": 1,
            "photon_energy": series.energy_eV,
            "pixel_mask_applied": False,
            "sensor_material": "Si",
            "sensor_thickness": 0.00045,
            "software_version": "1.8.0",
            "threshold_energy": series.energy_eV / 2,
            "trigger_mode": "ints",
            "wavelength": WAVELENGTH_A_EV / series.energy_eV,
            "x_pixel_size": 7.5e-05,
            "x_pixels_in_detector": columns,
            "y_pixel_size": 7.5e-05,
            "y_pixels_in_detector": rows,
        }


def _json(**fields: Any) -> bytes:
    """With sorted keys, as a control unit has them."""
    return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode()

"""The NTNDArray of the simulated detector, against a recording of a real one."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iocsim.detector import ntndarray
from iocsim.detector.ndarray import (
    DATA_TYPES,
    Int8,
    NDArray,
    NDAttribute,
    SourceType,
    converted,
    data_type,
    data_type_name,
)
from iocsim.detector.readout import Readout
from iocsim.hdf5.layout import Column

RECORDING = (Path(__file__).parents[2] / "data" / "adcore_ntndarray.txt").read_text()
END_NS = 1_795_218_868_651_419_154


def recorded_line(after: str) -> str:
    return RECORDING.split(after, 1)[1].splitlines()[0].strip()


def an_array(pixels: np.ndarray | None = None) -> NDArray:
    return NDArray(
        pixels=np.arange(6, dtype=np.uint16).reshape(2, 3) if pixels is None else pixels,
        unique_id=99,
        timestamp_ns=END_NS,
        attributes=(
            NDAttribute("ColorMode", 0, "Color mode", SourceType.DRIVER, "Driver"),
            NDAttribute("posx", 9.1, "scan x, um", SourceType.EPICS_PV, "13SIM1:posx"),
            NDAttribute("NotThere", None, "a disconnected PV", SourceType.EPICS_PV, "NO:SUCH:PV"),
            NDAttribute("Model", "Basic simulator", "model", SourceType.PARAM, "MODEL"),
        ),
    )


def test_type_is_the_recorded_one_field_for_field():
    assert repr(ntndarray.NTNDARRAY) == recorded_line("# type\n")


def test_every_field_a_real_ioc_marks_as_changed_is_marked():
    recorded = ast.literal_eval(recorded_line("# changed set of the last captured update: "))
    assert ntndarray.encode(an_array()).changedSet(expand=True) == set(recorded)


def test_dimensions_are_x_first_and_full_size_is_size():
    sizes = [(d.size, d.offset, d.fullSize, d.binning, d.reverse) for d in ntndarray.encode(an_array()).dimension]
    assert sizes == [(3, 0, 3, 1, False), (2, 0, 2, 1, False)]


def test_pixels_are_the_frame_in_c_order():
    value = ntndarray.encode(an_array())
    assert value.value.dtype == np.uint16
    assert value.value.tolist() == [0, 1, 2, 3, 4, 5]
    assert value.compressedSize == value.uncompressedSize == 12


def test_an_attribute_of_one_byte_is_one_over_pva_and_in_a_file():
    attribute = NDAttribute("I8", Int8(-8), "", SourceType.EPICS_PV, "X")
    (sent,) = ntndarray.encode(replace(an_array(), attributes=(attribute,))).attribute
    assert "any value int8_t = -8" in str(sent)
    assert Column.of(attribute).dtype == np.int8


def test_timestamp_is_exact_and_data_timestamp_has_the_rounding_of_a_double():
    value = ntndarray.encode(an_array())
    assert (value.timeStamp.secondsPastEpoch, value.timeStamp.nanoseconds) == (1795218868, 651419154)
    assert value.dataTimeStamp.secondsPastEpoch == 1795218868
    assert abs(value.dataTimeStamp.nanoseconds - 651419154) < 200


def test_attributes_keep_their_order_and_a_disconnected_pv_has_no_value():
    attributes = ntndarray.encode(an_array()).attribute
    assert [(a.name, a.value) for a in attributes] == [
        ("ColorMode", 0),
        ("posx", 9.1),
        ("NotThere", None),
        ("Model", "Basic simulator"),
    ]
    assert [(a.sourceType, a.source) for a in attributes][1] == (2, "13SIM1:posx")


def test_integers_travel_as_int32_as_those_of_adcore_do():
    text = str(ntndarray.encode(an_array()))
    assert "any parameters int32_t = 6" in text
    assert "any value int32_t = 0" in text


def test_a_fresh_pv_has_no_value_no_id_and_no_dimension():
    value = ntndarray.fresh()
    assert value.value is None
    assert value.uniqueId == 0
    assert list(value.dimension) == []


@pytest.mark.parametrize("name", DATA_TYPES)
def test_every_areadetector_type_is_sent_as_its_scalar_type(name: str):
    recorded_codes = dict(zip(("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"), range(1, 11), strict=True))
    pixels = np.ones((2, 2), data_type(name))
    value = ntndarray.encode(an_array(pixels))
    assert value.value.dtype == pixels.dtype
    assert value["codec.parameters"] == recorded_codes[pixels.dtype.str[1:]]
    assert data_type_name(pixels.dtype) == name


def test_a_type_that_no_detector_sends_is_refused_by_name():
    with pytest.raises(ValueError, match="complex128"):
        data_type_name(np.dtype(complex))
    with pytest.raises(ValueError, match="UInt12"):
        data_type("UInt12")


def test_conversion_clips_to_the_range_of_the_type():
    assert converted(np.array([-1, 5, 70000]), np.dtype(np.uint16)).tolist() == [0, 5, 65535]


def test_a_full_readout_is_the_frame_itself():
    frame = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert np.shares_memory(Readout.within((3, 4), frame.dtype).apply(frame), frame)


def test_readout_cuts_then_bins_then_reverses():
    frame = np.arange(24, dtype=np.uint16).reshape(4, 6)
    readout = Readout.within(
        (4, 6), np.dtype(np.uint32), minimum=(2, 0), size=(4, 4), binning=(2, 2), reverse=(True, False)
    )
    assert readout.shape == (2, 2)
    assert readout.apply(frame).tolist() == [[4 + 5 + 10 + 11, 2 + 3 + 8 + 9], [16 + 17 + 22 + 23, 14 + 15 + 20 + 21]]


def test_a_region_beyond_the_sensor_is_moved_onto_it():
    readout = Readout.within((4, 6), np.dtype(np.uint16), minimum=(5, -3), size=(100, 100))
    assert (readout.min_x, readout.size_x, readout.min_y, readout.size_y) == (5, 1, 0, 4)


def a_series(*, n: int) -> list[NDArray]:
    """Arrays as a detector makes them one after the other, with a plugin that changes its mind halfway."""
    first = an_array()
    series = []
    for index in range(n):
        attributes = tuple(
            replace(attribute, value=9.1 + index) if attribute.name == "posx" else attribute
            for attribute in first.attributes
        )
        if index >= n // 2:
            attributes = (replace(attributes[0], value="Mono"), *attributes[2:])
        pixels = first.pixels + np.uint16(index)
        series.append(
            replace(first, pixels=pixels, unique_id=index, timestamp_ns=END_NS + index * 10**9, attributes=attributes)
        )
    return series


def test_a_series_is_encoded_as_each_of_its_arrays_alone():
    encoder = ntndarray.Encoder()
    for array in [*a_series(n=4), an_array(np.zeros((4, 4), np.float32)), an_array()]:
        update, alone = encoder.encode(array), ntndarray.encode(array)
        assert str(update) == str(alone)
        assert update.changedSet(expand=True) == alone.changedSet(expand=True)

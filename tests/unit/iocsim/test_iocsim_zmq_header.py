"""Headers of ZMQ1 against those that a real NDPluginZMQ (ADZMQ 1.4.2) was recorded to send."""

import numpy as np

from iocsim.detector.ndarray import Compressed, Int8, NDArray, NDAttribute, SourceType
from iocsim.pv import EPICS_EPOCH_S
from iocsim.zmq.array_header import array_header, old_array_header

RECORDED = (
    b'{"htype":"array-1.0", "type":"uint16", "shape":[48,64], "frame":134, "timeStamp":1164720511.7048862, '
    b'"encoding":"", "ndattr":{"ColorMode":0,"POSX":1.5,"POSY":0.29999999999999999,"ENERGY":710,"EXPOSE":0.01}}'
)
RECORDED_BEHIND_CODEC = (
    b'{"htype":"array-1.0", "type":"uint16", "shape":[48,64], "frame":303, "timeStamp":1164720523.4201024, '
    b'"encoding":"blosc", "ndattr":{"ColorMode":0,"POSX":1.5,"POSY":0.29999999999999999,"ENERGY":710,"EXPOSE":0.01}}'
)
RECORDED_NOT_JSON = (
    b'{"htype":"array-1.0", "type":"uint16", "shape":[256,256], "frame":1, "timeStamp":1164065724.9895737, '
    b'"encoding":"", "ndattr":{"ColorMode":0,"posx":0,"posy":0,"scanIndex":0,"sampleName":"siemens_star",'
    b'"NotThere":"Undefined","ArrayCounter":1,"AcqTime":0.001,"Model":"Basic simulator","Pi":3.1415926535897931,'
    b'"I8":\xf8,"I64":-64,"Beamline":"2-ID-X"}}'
)
READBACKS = {"ColorMode": 0, "POSX": 1.5, "POSY": 0.3, "ENERGY": 710.0, "EXPOSE": 0.01}


def attributes(**values: int | float | str | None) -> tuple[NDAttribute, ...]:
    return tuple(NDAttribute(name, value, "", SourceType.EPICS_PV, "") for name, value in values.items())


def an_array(shape: tuple[int, int], unique_id: int, epics_s: float, **values: int | float | str | None) -> NDArray:
    """Stamped with the nearest ns to seconds of the EPICS epoch, which gives the same double again."""
    stamp_ns = EPICS_EPOCH_S * 1_000_000_000 + round(epics_s * 1e9)
    return NDArray(np.zeros(shape, np.uint16), unique_id, stamp_ns, attributes(**values))


def test_header_is_the_recorded_one_byte_for_byte():
    assert array_header(an_array((48, 64), 134, 1164720511.7048862, **READBACKS)) == RECORDED


def test_header_of_compressed_pixels_names_the_codec_and_no_length():
    array = an_array((48, 64), 303, 1164720523.4201024, **READBACKS)
    coded = NDArray(array.pixels, 303, array.timestamp_ns, array.attributes, compressed=Compressed("blosc", b"..."))
    assert array_header(coded) == RECORDED_BEHIND_CODEC


def test_a_value_of_one_byte_is_that_byte_and_an_unconnected_pv_the_text_undefined():
    array = an_array(
        (256, 256),
        1,
        1164065724.9895737,
        ColorMode=0,
        posx=0.0,
        posy=0.0,
        scanIndex=0,
        sampleName="siemens_star",
        NotThere=None,
        ArrayCounter=1,
        AcqTime=0.001,
        Model="Basic simulator",
        Pi=3.1415926535897931,
        I8=Int8(-8),
        I64=-64,
        Beamline="2-ID-X",
    )
    assert array_header(array) == RECORDED_NOT_JSON


def test_text_is_not_escaped_and_nan_is_nan():
    array = an_array((1, 2), 1, 0.5, name='a "b"\n', x=float("nan"), y=float("-inf"), z=1e-300)
    assert b'"ndattr":{"name":"a "b"\n","x":nan,"y":-inf,"z":1e-300}}' in array_header(array)


def test_old_header_has_its_type_in_a_list_and_x_first():
    old = old_array_header(an_array((48, 64), 134, 1164720511.7048862, **READBACKS))
    expected = RECORDED.replace(b'"array-1.0"', b'["array-1.0"]').replace(b"[48,64]", b"[64,48]")
    assert old == expected

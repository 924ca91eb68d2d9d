"""Headers of the messages of NDPluginZMQ (`array-1.0`), byte for byte, with the faults that the real ones have.

Text is not escaped, NaN is written `nan`, a value of one byte as that byte: the header need not be JSON, nor UTF-8.
"""

from __future__ import annotations

from iocsim.detector.ndarray import Int8, NDArray, NDAttribute


def array_header(array: NDArray) -> bytes:
    """The header that ADZMQ writes since 1.4.0: the shape in C order."""
    shape = ",".join(str(size) for size in reversed(array.dimensions))
    return _header(b'"array-1.0"', shape, array)


def old_array_header(array: NDArray) -> bytes:
    """The header from before 1.4.0: the type of the header in a list, the shape with x first."""
    shape = ",".join(str(size) for size in array.dimensions)
    return _header(b'["array-1.0"]', shape, array)


def _header(htype: bytes, shape: str, array: NDArray) -> bytes:
    fields = (
        f'"type":"{array.pixels.dtype.name}", "shape":[{shape}], "frame":{array.unique_id}, '
        f'"timeStamp":{array.epics_seconds:.17g}, "encoding":"{array.codec}", "ndattr":'
    )
    attributes = b",".join(map(_attribute, array.attributes))
    return b'{"htype":%b, %b{%b}}' % (htype, fields.encode(), attributes)


def _attribute(attribute: NDAttribute) -> bytes:
    return b'"%b":%b' % (attribute.name.encode(), _value(attribute.value))


def _value(value: float | str | None) -> bytes:
    """As a C++ stream writes it; a double with 17 digits."""
    match value:
        case None:
            return b'"Undefined"'
        case str():
            return b'"%b"' % value.encode()
        case Int8():
            return bytes((value & 0xFF,))
        case int():
            return b"%d" % value
    return b"%.17g" % value

"""Pixels of Dectris' images from their bytes: plain, in LZ4, or bitshuffled in LZ4, of either byte order.

Pixels are left as they are. In an EIGER's images gaps between modules and dead pixels have the largest value of the
type (65535 of uint16), saturated ones the value that its header names.
"""

from __future__ import annotations

import struct
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_service.core.frame import MOST_FRAME_BYTES
from stream_service.errors import SourceError
from stream_service.sources.live.codecs import BITSHUFFLE_BLOCK_BYTES, decode_payload

HDF5_HEADER = struct.Struct(">QI")
"""Before bitshuffled blocks: bytes of the frame, and of a block of it."""


ByteOrder = Literal["<", ">"]


class Encoding(NamedTuple):
    """How pixels became bytes."""

    codec: str = ""
    """`lz4` (a bare block), `lz4hdf5` or `bslz4`; these two with the header of the HDF5 filter. Empty: none."""
    byte_order: ByteOrder = "<"
    element_bits: int | None = None
    """Of what was bitshuffled; None if it was not."""


BYTE_ORDERS: tuple[ByteOrder, ByteOrder] = ("<", ">")
SIMPLON_ENCODINGS = {
    f"{name}{order}": Encoding(codec, order, n_bits)
    for order in BYTE_ORDERS
    for name, codec, n_bits in (
        ("", "", None),
        ("lz4", "lz4", None),
        ("bs8-lz4", "bslz4", 8),
        ("bs16-lz4", "bslz4", 16),
        ("bs32-lz4", "bslz4", 32),
    )
}
"""By the name that SIMPLON gives them."""


def decode_pixels(
    content: memoryview, encoding: Encoding, dtype: np.dtype[Any], shape: tuple[int, int]
) -> NDArray[Any]:
    """The pixels (y, x) of a native type; plain ones of that byte order are the message's own memory, not a copy.

    Raises `SourceError`, which does not name the frame, if the bytes are not such a frame.
    """
    n_bytes = shape[0] * shape[1] * dtype.itemsize
    if n_bytes > MOST_FRAME_BYTES:
        raise SourceError(f"a frame has at most {MOST_FRAME_BYTES} bytes, not {shape} {dtype} values")
    if encoding.codec == "bslz4":
        _check_header(content, encoding, dtype, n_bytes)
        content = content[HDF5_HEADER.size :]
    elif not encoding.codec and content.nbytes != n_bytes:
        raise SourceError(f"its {content.nbytes} bytes are not {shape} {dtype} values, {n_bytes} bytes")
    payload = np.frombuffer(content, np.uint8)
    pixels = decode_payload(encoding.codec, payload, dtype, shape) if encoding.codec else payload.view(dtype)
    in_order = pixels.view(dtype.newbyteorder(encoding.byte_order))
    return in_order.astype(dtype, copy=False).reshape(shape)


def _check_header(content: memoryview, encoding: Encoding, dtype: np.dtype[Any], n_bytes: int) -> None:
    """Raise `SourceError` unless the header before the blocks says of them what the message does."""
    if encoding.element_bits != 8 * dtype.itemsize:
        raise SourceError(f"its {dtype} values are said to be bitshuffled by {encoding.element_bits} bits")
    if content.nbytes < HDF5_HEADER.size:
        raise SourceError(f"its {content.nbytes} bytes are too few for the header of bslz4")
    n_decoded, n_block_bytes = HDF5_HEADER.unpack_from(content)
    if n_decoded != n_bytes or n_block_bytes != BITSHUFFLE_BLOCK_BYTES:
        raise SourceError(
            f"its header of bslz4 says {n_decoded} bytes in blocks of {n_block_bytes}, "
            f"not {n_bytes} in blocks of {BITSHUFFLE_BLOCK_BYTES}"
        )

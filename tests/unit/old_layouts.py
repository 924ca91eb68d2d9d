"""HDF5 files whose datasets are laid out as HDF5 1.4 and 1.6 wrote them, which today's HDF5 reads and no longer writes.

The layout message of a dataset is written again by the HDF5 File Format Specification, IV.A.2.i: versions 1 and 2 begin
with the number of dimensions, so that of a dataset with two (and the size of an element) has a 3 where later versions
have the class, and where 3 stands for a virtual dataset.
"""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]

LAYOUT, NIL = 0x08, 0x00
COMPACT, CONTIGUOUS, CHUNKED = range(3)
ROOM = np.zeros(600, np.uint8)
"""An attribute that is removed again leaves its place in the header to a longer layout message."""


def write_old(path: Path, version: int, kind: int, values: np.ndarray) -> None:
    """A dataset at `/data` with a layout message of version 1 or 2, 3 (h5py's default), or 4 and newer (`latest`)."""
    with h5py.File(path, "w", libver=("earliest", "v108") if version < 4 else "latest") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(kind)
        if kind == CHUNKED:
            properties.set_chunk(values.shape)
        space, dtype = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
        id = h5py.h5d.create(file.id, b"data", dtype, space, properties)
        id.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
        dataset = h5py.Dataset(id)
        dataset.attrs["room"] = ROOM
        del dataset.attrs["room"]
        header = h5o.get_info(id).addr
    if version < 3:
        content = bytearray(path.read_bytes())
        _rewrite(content, header, version, values)
        path.write_bytes(content)


def _rewrite(content: bytearray, header: int, version: int, values: np.ndarray) -> None:
    """Put all messages of an object header (version 1, in one block) again, with another layout."""
    (total,) = struct.unpack_from("<I", content, header + 8)
    at, messages = header + 16, []
    while at < header + 16 + total:
        kind, length, flags = struct.unpack_from("<HHB", content, at)
        assert kind != 0x10, "the header goes on elsewhere"
        messages.append((kind, flags, bytes(content[at + 8 : at + 8 + length])))
        at += 8 + length
    kept = [(kind, flags, _layout(version, body, values) if kind == LAYOUT else body) for kind, flags, body in messages]
    new = b"".join(struct.pack("<HHB3x", kind, len(body), flags) + body for kind, flags, body in kept if kind != NIL)
    left = total - len(new) - 8
    assert left >= 0
    count = sum(kind != NIL for kind, _, _ in kept) + 1
    struct.pack_into("<H", content, header + 2, count)
    content[header + 16 : header + 16 + total] = new + struct.pack("<HHB3x", NIL, left, 0) + bytes(left)


def _layout(version: int, modern: bytes, values: np.ndarray) -> bytes:
    """A message of version 1 or 2 that says what one of version 3 does."""
    assert modern[0] == 3
    kind, sizes = modern[1], [*values.shape, values.itemsize]
    if kind == COMPACT:
        head, data = b"", modern[4 : 4 + values.nbytes]
    else:
        at = 2 if kind == CONTIGUOUS else 3
        head, data = modern[at : at + 8], b""
    body = struct.pack("<BBB5x", version, len(sizes), kind) + head + struct.pack(f"<{len(sizes)}I", *sizes)
    if kind == COMPACT:
        body += struct.pack("<I", len(data)) + data
    return body + bytes(-len(body) % 8)

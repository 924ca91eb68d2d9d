"""HDF5 files that are damaged or were made to deceive, the same ones for the same seed.

Two kinds of damage, alone or together. Mistakes of whoever wrote the file: datasets of a wrong type, shape or size,
groups and links in their place, attributes that are not what they are called. And damage to the bytes: flipped bits,
values at their limits, files cut off.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import h5py
import numpy as np
from h5py import h5f, h5g, h5p

N, NY, NX = 5, 6, 8
FRAMES = (np.arange(N * NY * NX) % 251).reshape(N, NY, NX).astype(np.uint16)
MOST_MISTAKES = 3
LAYOUTS = ("areaDetector", "/entry", "CXI")

Tree = dict[str, Any]
"""Values by path; a function makes what stands there, given the file and the path."""


def _columns() -> Tree:
    columns = {
        "NDArrayUniqueId": np.arange(1, N + 1, dtype=np.int32),
        "NDArrayTimeStamp": 1.1e9 + np.arange(N),
        "NDArrayEpicsTSSec": (1_100_000_000 + np.arange(N)).astype(np.uint32),
        "NDArrayEpicsTSnSec": np.arange(N).astype(np.uint32),
        "posx": np.linspace(0, 1, N),
        "posy": np.linspace(1, 2, N),
        "energy_eV": np.full(N, 700.0),
        "AcquireTime": np.full(N, 0.1),
        "NotThere": np.full(N, np.nan, np.float32),
        "sample": np.full(N, b"Siemens star", "S256"),
    }
    tree: Tree = {}
    for name, values in columns.items():
        path = f"/entry/instrument/NDAttributes/{name}"
        tree[path] = values
        tree[f"{path}@NDAttrName"] = np.bytes_(name)
        tree[f"{path}@NDAttrDescription"] = np.bytes_(f"{name}, um")
        tree[f"{path}@NDAttrSourceType"] = np.bytes_("NDAttrSourceEPICSPV")
    return tree


def tree_of(layout: str) -> Tree:
    """A good file of this layout."""
    if layout == "areaDetector":
        return {
            "/entry/data/data": FRAMES,
            "/entry/data/data@NDArrayNumDims": np.int32(2),
            "/entry/det_dist_m": 0.1,
            "/entry/pixel_m": 75e-6,
            **_columns(),
        }
    if layout == "/entry":
        return {
            "/entry/data": FRAMES,
            "/entry/pos": np.zeros((N, 2)),
            "/entry/pos@units": "um",
            "/entry/energy_eV": 710.0,
            "/entry/exposure_s": np.full(N, 0.1),
            "/entry/det_dist_m": 0.1,
            "/entry/pixel_m": 75e-6,
            "/entry/mask": np.zeros((NY, NX), np.uint8),
            "/entry/dark": np.zeros((NY, NX)),
        }
    detector = "/entry_1/instrument_1/detector_1"
    return {
        f"{detector}/data": FRAMES,
        f"{detector}/distance": 0.1,
        f"{detector}/x_pixel_size": 75e-6,
        f"{detector}/count_time": np.full(N, 0.1),
        f"{detector}/mask": np.zeros((NY, NX), np.uint32),
        f"{detector}/basis_vectors": np.array([[0, -1.0, 0], [-1.0, 0, 0]]),
        "/entry_1/instrument_1/source_1/energy": np.full(N, 1e-16),
        "/entry_1/instrument_1/source_1/energy@units": "J",
        "/entry_1/sample_1/geometry_1/translation": np.zeros((N, 3)),
        "/entry_1/data_1/data": h5py.SoftLink(f"{detector}/data"),
    }


def timeless_file(libver: str | None) -> h5py.File:
    """A new file in memory whose bytes do not depend on when it was made."""
    access, creation = h5p.create(h5p.FILE_ACCESS), h5p.create(h5p.FILE_CREATE)
    access.set_fapl_core(backing_store=False)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    if libver == "latest":
        access.set_libver_bounds(h5f.LIBVER_LATEST, h5f.LIBVER_LATEST)
    creation.set_obj_track_times(False)
    return h5py.File(h5f.create(b"timeless.h5", fapl=access, fcpl=creation))


def timeless_group(file: h5py.File, path: str) -> None:
    """An empty h5 group, likewise."""
    link, group = h5p.create(h5p.LINK_CREATE), h5p.create(h5p.GROUP_CREATE)
    link.set_create_intermediate_group(True)
    group.set_obj_track_times(False)
    h5g.create(file.id, path.encode(), lcpl=link, gcpl=group)


def _huge(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str = "f8") -> Callable[[h5py.File, str], None]:
    return lambda file, path: file.create_dataset(path, shape, dtype, chunks=chunks, track_times=False).attrs.update(
        {"NDAttrName": "posx", "NDArrayNumDims": 2}
    )


def _virtual(file: h5py.File, path: str) -> None:
    layout = h5py.VirtualLayout((N, NY, NX), "u2")
    layout[:] = h5py.VirtualSource("nowhere.h5", "/data", (N, NY, NX))
    file.create_virtual_dataset(path, layout)


def _typed(dtype: Any, shape: tuple[int, ...] = (N,)) -> Callable[[h5py.File, str], None]:
    return lambda file, path: file.create_dataset(path, shape, dtype, track_times=False).attrs.update(
        {"NDAttrName": "posy"}
    )


INSTEAD: tuple[Any, ...] = (
    None,
    "a text",
    np.bytes_(b"\xff\xfe"),
    0,
    -1,
    float("nan"),
    float("inf"),
    True,
    1j,
    np.full(N, b"text"),
    np.full(N, np.nan),
    np.full(N, -np.inf),
    np.full(N, 1e300),
    np.full(N, 2**63 - 1),
    np.full(N, -(2**63)),
    np.full(N, 2**64 - 1, np.uint64),
    np.full((N, 1), 3),
    np.arange(N - 1),
    np.arange(N + 2),
    np.zeros(0),
    np.zeros((N, 2)),
    np.zeros((N, 0)),
    np.zeros((1, 1)),
    np.zeros((2, 3)),
    np.zeros((0, NY, NX)),
    np.zeros((N, NY, NX), bool),
    np.zeros((N, NY, NX), ">i4"),
    np.zeros((N, NY, NX), np.float16),
    np.zeros((N, NY, NX), np.longdouble),
    np.full((N, NY, NX), np.nan),
    np.zeros((1, 1, 1)),
    np.zeros((1, 1, 1, 1, 1)),
    h5py.Empty("f8"),
    h5py.SoftLink("/nowhere"),
    h5py.SoftLink("/entry"),
    h5py.SoftLink("."),
    h5py.SoftLink("/a/b/../c"),
    h5py.ExternalLink("/etc/passwd", "/"),
    h5py.ExternalLink("other.h5", "/entry/data"),
    timeless_group,
    lambda file, path: file.__setitem__(path, h5py.SoftLink(path)),
    lambda file, path: file.__setitem__(path, file["/"]),
    lambda file, path: file.create_dataset(path, (N,), h5py.string_dtype(), track_times=False),
    lambda file, path: file.create_dataset(
        path, data=["a", "b", "c", "d", "e"], dtype=h5py.string_dtype(), track_times=False
    ),
    lambda file, path: file.create_dataset(
        path, (N, NY, NX), "u2", external=[("/dev/zero", 0, 10**6)], track_times=False
    ),
    _typed([("a", "f8"), ("b", "i4")]),
    _typed(("f8", (3,))),
    _typed(h5py.vlen_dtype(np.float64)),
    _typed(h5py.enum_dtype({"open": 0, "shut": 1}, "i4")),
    _typed(h5py.ref_dtype),
    _typed("V16"),
    _typed("S100000"),
    _typed("f2"),
    _huge((10**12,), (10**6,)),
    _huge((10**7,), (1,)),
    _huge((N, 10**6, 10**6), (1, 100, 100)),
    _huge((10**6, 64, 64), (1, 64, 64)),
    _huge((2**40, NY, NX), (1, NY, NX)),
    _huge((9, 8000, 8000), (1, 8000, 8000), "u1"),
    _virtual,
)
"""What stands in place of a dataset or an HDF5 attribute; None: nothing."""

NAMES = ("units", "NDAttrName", "NDAttrDescription", "NDAttrSourceType", "NDArrayNumDims", "applied", "format")
"""HDF5 attributes that are looked at."""


def with_mistakes(layout: str, rng: random.Random) -> bytes:
    """A whole file in which up to three things are not what they should be."""
    tree = tree_of(layout)
    for _ in range(rng.randrange(1, MOST_MISTAKES + 1)):
        path = rng.choice(sorted(tree))
        if rng.random() < 0.2:
            path = f"{path.partition('@')[0]}@{rng.choice(NAMES)}"
        tree[path] = rng.choice(INSTEAD)
    newest = rng.choice([None, "latest"])
    with h5py.File("mistakes.h5", "w", driver="core", backing_store=False, libver=newest) as file:
        for path, value in tree.items():
            where, _, attribute = path.partition("@")
            try:
                if attribute and value is not None:
                    file[where].attrs[attribute] = value if not callable(value) else "odd"
                elif callable(value):
                    value(file, path)
                elif value is not None:
                    file[path] = value
            except (OSError, RuntimeError, LookupError, TypeError, ValueError):
                continue  # h5py itself does not write this
        file.flush()
        return file.id.get_file_image()


@cache
def good(layout: str, libver: str | None = None) -> bytes:
    """A file without a defect, in the older format or in the one with checksums."""
    with h5py.File("good.h5", "w", driver="core", backing_store=False, libver=libver) as file:
        for path, value in tree_of(layout).items():
            where, _, attribute = path.partition("@")
            if attribute:
                file[where].attrs[attribute] = value
            else:
                file[path] = value
        file.flush()
        return file.id.get_file_image()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with up to eight places changed, one time in ten cut off, too."""
    changed = bytearray(data)
    if rng.random() < 0.1:
        del changed[rng.randrange(len(changed)) :]
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        if not changed:
            break
        at, how = rng.randrange(len(changed)), rng.random()
        if how < 0.5:
            changed[at] ^= 1 << rng.randrange(8)
        elif how < 0.8:
            changed[at] = rng.randrange(256)
        else:
            value = rng.choice([0, 2**31, 2**63 - 1, 2**64 - 1, at, len(data)])
            changed[at : at + 8] = value.to_bytes(8, "little")
    return bytes(changed)


def mutated(layout: str, seed: int) -> bytes:
    """File number `seed` of a layout."""
    rng = random.Random(f"{layout} {seed}")
    if rng.random() < 0.4:
        made = with_mistakes(layout, rng)
        return damaged(made, rng) if rng.random() < 0.3 else made
    return damaged(good(layout, rng.choice([None, None, "latest"])), rng)


def _with(data: bytes, at: int, value: int, size: int = 8) -> bytes:
    return data[:at] + value.to_bytes(size, "little") + data[at + size :]


def circles() -> list[bytes]:
    """The list of free blocks in a group's heap is a circle: HDF5 2.0 follows it for ever, and takes all memory.

    Of the root group's heap even when it opens the file.
    """
    whole, heap, made = good("/entry"), -1, []
    for _ in range(2):
        heap = whole.index(b"HEAP", heap + 1)
        free, segment = (int.from_bytes(whole[heap + at : heap + at + 8], "little") for at in (16, 24))
        made.append(_with(whole, segment + free, free))
    return made


def endless_texts() -> list[bytes]:
    """A heap of texts without an end, where HDF5 2.0 looks for the next one where it is already; texts of 4 GiB."""
    made = []
    for libver in (None, "latest"):
        whole = good("/entry", libver)
        text = whole.index(b"GCOL") + 16
        made += [_with(_with(whole, text, 0, 2), text + 8, 0)]  # the index 0 means free room
        made += [_with(whole, text + at, value) for at, value in ((8, 2**64 - 16), (0, 0))]
        stored_um = (2).to_bytes(4, "little") + whole.index(b"GCOL").to_bytes(8, "little")
        made.append(_with(whole, whole.index(stored_um), 2**32 - 1, 4))
    return made


def virtual_places() -> list[bytes]:
    """Places of a virtual dataset beyond the end of its heap: HDF5 2.0 reads what is there, or dies of it."""
    with h5py.File("virtual.h5", "w", driver="core", backing_store=False) as file:
        layout = h5py.VirtualLayout((N, NY, NX), "u2")
        layout[...] = h5py.VirtualSource(SOURCE, "/frames", (N, NY, NX))
        file.create_virtual_dataset("/entry/data", layout)
        for path, value in tree_of("/entry").items():
            if "@" not in path and path != "/entry/data":
                file[path] = value
        file.flush()
        whole = file.id.get_file_image()
    heap = whole.index(b"GCOL")
    return [_with(whole, at, value, 1) for at in range(heap, heap + 24) for value in (0, 0x7F, 0xFF)]


SOURCE = "source.h5"
"""Beside a file with a virtual dataset: `/frames`."""
DAMAGES = {"circles": circles, "endless texts": endless_texts, "virtual places": virtual_places}
"""What HDF5 2.0 itself does not survive, or never comes back from."""

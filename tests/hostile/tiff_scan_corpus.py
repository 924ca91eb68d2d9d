"""TIFF files, sidecars and logs that are damaged or were made to deceive, the same ones for the same seed."""

from __future__ import annotations

import io
import random
import struct
from functools import cache
from typing import Any

import h5py
import numpy as np
import tifffile
from hdf5_corpus import INSTEAD, damaged, timeless_file, timeless_group
from tiff_scan import areadetector_tags

N, NY, NX = 5, 6, 8
FRAMES = (np.arange(N * NY * NX) % 251).reshape(N, NY, NX).astype(np.uint16)
FILES = [f"good_{number}.tif" for number in range(1, N + 1)]
STORED: tuple[dict[str, Any], ...] = (
    {"unique_id": 7},
    {"unique_id": 7, "bigtiff": True},
    {"unique_id": 7, "byteorder": ">", "rowsperstrip": 4},
    {"stack": True},
    {"stack": True, "metadata": {}, "compression": "zstd"},
    {"stack": True, "bigtiff": True, "byteorder": ">"},
    {"compression": "lzw", "predictor": True},
    {"compression": "deflate", "tile": (16, 16)},
    {"compression": "packbits", "rowsperstrip": 1},
    {"description": "ImageJ=1.11a\nimages=1\n"},
)
"""How good files are stored: what is passed to tifffile."""
TYPES = range(20)
"""Of a TIFF's tags; 1 to 18 are defined."""
CODES = (254, 256, 257, 258, 259, 262, 266, 270, 273, 277, 278, 279, 284, 305, 317, 322, 323, 324, 325, 330, 339)
ODD_NUMBERS = (0, 1, 2, 3, 7, 16, 0xFFFF, 10**6, 2**27, 2**31 - 1, 2**31, 2**32 - 1)


@cache
def good_tiff(which: int) -> bytes:
    """A file without a defect."""
    options = {"photometric": "minisblack", "metadata": None, "description": ""} | STORED[which]
    unique_id = options.pop("unique_id", None)
    if unique_id is not None:
        tags = areadetector_tags(unique_id, 10**18, {"posx": 1.5, "Sample": "Au"})
        options |= {"software": "EPICS areaDetector", "extratags": tags}
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, FRAMES[:3] if options.pop("stack", False) else FRAMES[0], **options)
    return buffer.getvalue()


def _with_odd_tags(data: bytes, rng: random.Random) -> bytes:
    """Up to four fields of the first directory changed: of tags, of their number, of where the next directory is."""
    changed = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    at = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)[0]
    head, entry, form = (8, 20, f"{order}HHQQ") if is_big else (2, 12, f"{order}HHII")
    n = struct.unpack_from(order + ("Q" if is_big else "H"), data, at)[0]
    for _ in range(rng.randrange(1, 5)):
        if rng.random() < 0.1:  # a circle, a directory in the pixels or beyond the end
            place = at + head + n * entry
            struct.pack_into(f"{order}I", changed, place, rng.choice([at, 8, rng.randrange(len(data)), 2**32 - 1]))
            continue
        place = at + head + rng.randrange(n) * entry
        code, kind, count, value = struct.unpack_from(form, changed, place)
        odd = rng.choice((*ODD_NUMBERS, rng.randrange(len(data))))
        which = rng.random()
        if which < 0.2:
            code = rng.choice(CODES)
        elif which < 0.4:
            kind = rng.choice(TYPES)
        elif which < 0.6:
            count = odd
        else:
            value = odd << 16 * (order == ">" and kind == 3 and odd < 2**16)
        struct.pack_into(form, changed, place, code, kind, count, value & (2**64 - 1 if is_big else 2**32 - 1))
    return bytes(changed)


def mutated_tiff(seed: int) -> bytes:
    """TIFF file number `seed`."""
    rng = random.Random(f"tiff {seed}")
    data = good_tiff(rng.randrange(len(STORED)))
    if rng.random() < 0.6:
        data = _with_odd_tags(data, rng)
        if rng.random() < 0.7:
            return data
    return damaged(data, rng)


def sidecar_tree() -> dict[str, Any]:
    """Content of a good sidecar."""
    return {
        "frame_index": np.arange(1, N + 1),
        "unique_id": np.arange(11, 11 + N),
        "timestamp_ns": 10**18 + np.arange(N),
        "posx_m": np.linspace(0, 1e-6, N),
        "posy_m": np.linspace(1e-6, 0, N),
        "energy_eV": np.linspace(700, 710, N),
        "det_dist_m": 0.1,
        "pixel_m": 1e-5,
        "exposure_s": 0.1,
        "file": np.array([name.encode() for name in FILES]),
        "page": np.zeros(N, np.int64),
        "dark": np.zeros((NY, NX)),
        "mask": np.zeros((NY, NX), np.uint8),
    }


@cache
def good_sidecar(libver: str | None, below: str) -> bytes:
    """A file without a defect, in the older format or in the one with checksums."""
    return _sidecar(sidecar_tree(), libver, below)


def _sidecar(tree: dict[str, Any], libver: str | None, below: str) -> bytes:
    with timeless_file(libver) as file:
        if below != "/":
            timeless_group(file, below.strip("/"))
        for name, value in tree.items():
            path = f"{below}{name}"
            try:
                if callable(value):
                    value(file, path)
                elif value is not None:
                    file[path] = value
                if path in file and isinstance(file[path], h5py.Dataset):
                    file[path].attrs["units"] = "m" if name.endswith("_m") else "eV" if name.endswith("eV") else ""
            except (OSError, RuntimeError, LookupError, TypeError, ValueError):
                continue  # h5py itself does not write this
        file.flush()
        return file.id.get_file_image()


def mutated_sidecar(seed: int) -> bytes:
    """Sidecar number `seed`: parts missing or in the place of others, values that cannot be, bytes damaged."""
    rng = random.Random(f"sidecar {seed}")
    libver, below = rng.choice([None, "latest"]), rng.choice(["/entry/", "/"])
    if rng.random() < 0.5:
        return damaged(good_sidecar(libver, below), rng)
    tree = sidecar_tree()
    for _ in range(rng.randrange(1, 4)):
        tree[rng.choice([*tree, "pos"])] = rng.choice(INSTEAD)
    if rng.random() < 0.4:
        for name in rng.sample(sorted(tree), rng.randrange(len(tree))):
            del tree[name]
    data = _sidecar(tree, libver, below)
    return damaged(data, rng) if rng.random() < 0.2 else data


HEADER = ["frame_index", "posx_um", "posy_um", "energy_eV", "det_dist_m", "pixel_m", "exposure_s"]
ODD_CELLS = (
    "", " ", "n/a", "nan", "-inf", "1e999", "1e-999", "-1", "1.5", "0x1F", "1,5", "1;5", "1_000", "9" * 400, "١٢", "\0",
    '"', '"a"b', '""', "#", "\ufeff", "=cmd()", "1e999999999", "-0", "+7", "true", "None", "\u2028", "\r",
)  # fmt: skip
ODD_LINES = ("", ",,,,,,", "#", '"', "\0", "frame_index", ",".join(HEADER), "1" * 70_000, "," * 1000, "7,", ";" * 7)


def good_log(rng: random.Random) -> list[list[str]]:
    """The header and the rows of a log without a defect."""
    facts = ["710", "0.1", "1e-5", "0.1"]
    rows = [[str(n), repr(rng.uniform(-9, 9)), repr(rng.uniform(-9, 9)), *facts] for n in range(1, N + 1)]
    return [list(HEADER), *rows]


def mutated_log(seed: int) -> bytes:
    """Log number `seed`: odd cells, odd lines, columns renamed, another encoding, bytes damaged."""
    rng = random.Random(f"log {seed}")
    table = good_log(rng)
    for _ in range(rng.randrange(4)):
        row = rng.randrange(len(table))
        odd = (*ODD_CELLS, *HEADER, "unique_id", "timestamp_s", "posx_m")
        table[row][rng.randrange(len(table[row]))] = rng.choice(odd)
    delimiter = rng.choice([",", ",", ";", "\t"])
    lines = [delimiter.join(row) for row in table]
    for _ in range(rng.choice([0, 0, 1, 3])):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(ODD_LINES))
    text = rng.choice(["\n", "\n", "\r\n", "\r"]).join(lines)
    data = text.encode(rng.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-32"]))
    return damaged(data, rng) if rng.random() < 0.3 else data

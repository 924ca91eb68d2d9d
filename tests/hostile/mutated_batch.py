"""Decodes compressed messages with defects in a process of its own; a script.

`python mutated_batch.py CODEC FIRST LAST FOLDER` prints as JSON what became of them;
CODEC may be `bombs`, too. The number of the message at hand stands in a file in the folder.

A C library that reads or writes where it must not ends this process only, and is found out: payloads are decoded a
second time at the very end of a page behind which there is none, and addresses are limited. What came of it is printed
as JSON; anything but a frame or a `SourceError`, or memory beyond what the decoder promises, is an exception.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import math
import mmap
import os
import resource
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import compressed_corpus
import corpus
import numpy as np
from p4p import Value
from reader_script import SAID_EVERY, Counts

from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival
from stream_service.errors import SourceError
from stream_service.sources.live.codecs import DTYPES, decode_payload
from stream_service.sources.live.ntndarray import decode_ntndarray

MOST_RATIOS = {"jpeg": 256, "zlib": 1032, "blosc": 32768, "lz4": 255, "lz4hdf5": 255, "bslz4": 255}
MOST_FRAME_BYTES = 256 << 20
LIBRARY_BYTES = 4 << 20
"""What a library may take beside the pixels."""
MOST_ADDRESSES_BYTES = 3 * MOST_FRAME_BYTES + (64 << 20)
MOST_GROWTH_BYTES = 32 << 20
"""Of the memory in use, over all messages: what few of them claim is larger, and of these none is ever filled."""
N_REPEATS = 20
LONGEST_MESSAGE = 300


class EndOfPage:
    """Memory whose last byte is the last that may be read."""

    def __init__(self, n_bytes: int) -> None:
        self._end = -(-n_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._pages = np.frombuffer(mmap.mmap(-1, self._end + mmap.PAGESIZE), np.uint8)
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        assert protect(self._pages.ctypes.data + self._end, mmap.PAGESIZE, 0) == 0

    def put(self, content: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        place = self._pages[self._end - content.size : self._end]
        place[:] = content
        return place


def most_bytes(value: Value) -> int:
    """Memory that decoding a message may take, by the decoder's promise."""
    n_held = _n_held(value)
    claimed = math.prod(max(0, dimension["size"]) for dimension in value["dimension"]) * 8
    n_believed = min(claimed, MOST_FRAME_BYTES, MOST_RATIOS.get(value["codec.name"], 0) * n_held)
    return 3 * n_believed + 3 * n_held + LIBRARY_BYTES


def _n_held(value: Value) -> int:
    return 0 if value["value"] is None else value["value"].nbytes  # p4p gives None for an empty array


def decode(value: Value) -> np.ndarray[Any, Any] | None:
    """The pixels; None if the message is refused, as it should be."""
    try:
        pixels = decode_ntndarray(value).pixels
    except SourceError as error:
        assert 0 < len(str(error)) <= LONGEST_MESSAGE, error
        return None
    assert pixels.shape == tuple(dimension["size"] for dimension in reversed(value["dimension"]))
    assert not value["codec.name"] or pixels.dtype == DTYPES[value["codec.parameters"]]
    return pixels


def decode_within_limit(value: Value) -> np.ndarray[Any, Any] | None:
    """The same, with the memory that Python and numpy know of."""
    tracemalloc.reset_peak()
    began_bytes, _ = tracemalloc.get_traced_memory()
    pixels = decode(value)
    _, peak_bytes = tracemalloc.get_traced_memory()
    assert peak_bytes - began_bytes <= most_bytes(value)
    return pixels


def decode_at_end_of_page(value: Value, end_of_page: EndOfPage) -> np.ndarray[Any, Any] | None:
    """The same by the codec alone, for messages whose own claims are consistent."""
    dtype, shape = DTYPES[value["codec.parameters"]], tuple(d["size"] for d in reversed(value["dimension"]))
    payload = value["value"].view(np.uint8)[: value["compressedSize"]]
    try:
        return decode_payload(value["codec.name"], end_of_page.put(payload), dtype, shape)
    except SourceError:
        return None


def is_consistent(value: Value) -> bool:
    """True if nothing but the payload can be wrong."""
    parameters, sizes = value["codec.parameters"], [dimension["size"] for dimension in value["dimension"]]
    return (
        value["codec.name"] in MOST_RATIOS
        and isinstance(parameters, int)
        and parameters in DTYPES
        and len(sizes) == 2
        and 0 < value["compressedSize"] <= _n_held(value)
        and value["value"].dtype in ("u1", "i1")
        and value["uncompressedSize"] == sizes[0] * sizes[1] * DTYPES[parameters].itemsize
    )


def mutated(codec: str, first: int, last: int, folder: Path) -> Counts:
    """Decode the messages, and after each that is refused a good frame, which must be new to the ledger."""
    good, ledger, end_of_page = corpus.good(1, codec=codec), Ledger(1, None), EndOfPage(1 << 20)
    counts = {"frames": 0, "refused": 0}
    decode(good)
    compressed_corpus.mutated(codec, first)  # makes all good payloads, which take more than a message
    before_bytes = _limit_memory()
    with open(folder / "message.txt", "wb", buffering=0) as note:
        for number in range(first, last):
            os.pwrite(note.fileno(), b"%12d" % number, 0)
            value = compressed_corpus.mutated(codec, number)
            pixels = decode_within_limit(value)
            if is_consistent(value):
                again = decode_at_end_of_page(value, end_of_page)
                assert (None if pixels is None else pixels.tobytes()) == (None if again is None else again.tobytes())
            counts["frames" if pixels is not None else "refused"] += 1
            if pixels is None:
                good["uniqueId"] = counts["refused"]
                good["timeStamp.nanoseconds"] = counts["refused"]
                frame = decode_ntndarray(good)
                assert ledger.receive(frame.unique_id, frame.timestamp_ns).arrival is Arrival.NEW
                np.testing.assert_array_equal(frame.pixels.shape, (6, 8))
            if number % SAID_EVERY == 0:
                print(json.dumps(counts), flush=True)
    _check_growth(before_bytes)
    return counts


def bombs() -> Counts:
    """Decode what is small and would be large, many times over, so that what a library does not free adds up."""
    values = {name: message.build() for name, message in compressed_corpus.BOMBS.items()}
    for codec in MOST_RATIOS:
        decode(corpus.good(1, codec=codec))
    before_bytes = _limit_memory()
    for _ in range(N_REPEATS):
        believed = [name for name, value in values.items() if decode_within_limit(value) is not None]
        assert not believed, believed
    _check_growth(before_bytes)
    return {"refused": len(values)}


def _limit_memory() -> int:
    limit = _address_bytes() + MOST_ADDRESSES_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    tracemalloc.start()
    return _most_resident_bytes()


def _check_growth(before_bytes: int) -> None:
    growth_bytes = _most_resident_bytes() - before_bytes
    assert growth_bytes <= MOST_GROWTH_BYTES, f"{growth_bytes} bytes more in use"


def _address_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * mmap.PAGESIZE


def _most_resident_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    faulthandler.enable()
    kind, first, last, folder = sys.argv[1:]
    print(json.dumps(bombs() if kind == "bombs" else mutated(kind, int(first), int(last), Path(folder))))

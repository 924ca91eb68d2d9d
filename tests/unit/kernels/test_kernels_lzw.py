"""LZW is decoded only if it is sound: then what comes out depends on nothing but what went in."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from stream_service.kernels.lzw import is_sound_lzw

RNG = np.random.default_rng(5)
OUT_OF_NOWHERE = bytes.fromhex("80610000181c160907828220d0b84410210c88410311188082290d000a22f0b808")
"""Its first code, 388, was never defined: imagecodecs reads memory that was not written."""
DIGEST = """
import sys, zlib
import numpy as np
import imagecodecs
from test_kernels_lzw import mutated
from stream_service.kernels.lzw import is_sound_lzw
digest, n_sound, is_checked = 0, 0, sys.argv[1] == "checked"
for data, size in mutated(20_000):
    if is_checked and not is_sound_lzw(np.frombuffer(data, np.uint8)):
        continue
    n_sound += 1
    try:
        digest = zlib.crc32(imagecodecs.lzw_decode(data, out=size), digest)
    except RuntimeError as error:
        digest = zlib.crc32(str(error).encode(), digest)
print(n_sound, digest)
"""


def sound(data: bytes) -> bool:
    return bool(is_sound_lzw(np.frombuffer(data, np.uint8)))


def mutated(n: int):
    """Streams with a few bits changed or an end cut off, and the length of what they were made of."""
    rng = random.Random(8)
    plain = [bytes(range(48)) * 2, np.random.default_rng(1).poisson(3, 5000).astype(np.uint8).tobytes(), bytes(9000)]
    encoded = [imagecodecs.lzw_encode(data) for data in plain]
    for _ in range(n):
        which = rng.choice([0, 0, 0, 1, 2])
        data = bytearray(encoded[which])
        if rng.random() < 0.1:
            del data[rng.randrange(1, len(data)) :]
        for _ in range(rng.choice([1, 2, 8])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield bytes(data), len(plain[which])


def digest(filling: int, mode: str) -> str:
    """What imagecodecs decodes, in a process whose memory is filled with `filling` before it is used."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [os.path.dirname(__file__), *sys.path])),
        "MALLOC_PERTURB_": str(filling),
    }
    command = [sys.executable, "-c", DIGEST, mode]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("n", [0, 1, 255, 256, 3839, 100_000, 1_000_000])
@pytest.mark.parametrize("most", [1, 4, 256])
def test_what_encoders_write_is_sound(n, most):
    """Tables of every width, and cleared ones; the second encoder is libtiff's."""
    data = RNG.integers(0, most, n).astype(np.uint8)
    assert sound(imagecodecs.lzw_encode(data.tobytes()))
    if n >= 256:
        buffer = io.BytesIO()
        Image.fromarray(data.reshape(1, -1)).save(buffer, "TIFF", compression="tiff_lzw")
        buffer.seek(0)
        with tifffile.TiffFile(buffer) as file:
            (offset,), (count,) = file.pages[0].dataoffsets, file.pages[0].databytecounts
        assert sound(buffer.getvalue()[offset : offset + count])


def test_code_that_comes_before_it_is_defined_is_not_sound():
    assert not sound(OUT_OF_NOWHERE)
    good = imagecodecs.lzw_encode(bytes(range(48)) * 2)
    n_found = sum(not sound(good[:at] + bytes([good[at] ^ 0x80]) + good[at + 1 :]) for at in range(len(good)))
    assert n_found >= 8


def test_sound_streams_decode_the_same_whatever_memory_holds():
    """With imagecodecs 2026.3.6 the same streams without the check (`all`) give two digests, or a crash."""
    zeros, filled = (digest(filling, "checked") for filling in (0, 165))
    assert zeros == filled
    assert int(zeros.split()[0]) > 5_000

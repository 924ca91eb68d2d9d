"""Whether bytes are sound LZW, as TIFF compresses with it (TIFF 6.0, section 13), so that they can be decoded safely.

The decoder of imagecodecs follows a code that a damaged stream uses before it was defined into memory that was never
written: what comes out then depends on what was there before, and the process may end (seen with 2026.3.6). This walks
over the codes, and decodes nothing.
"""

from __future__ import annotations

from typing import Any

from numba import njit

CLEAR, END, FIRST_FREE, TABLE = 256, 257, 258, 4096
NARROWEST, WIDEST = 9, 12
"""Bits of a code."""


def _compiled(function: Any) -> Any:
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder for the cache can be written
        return njit(nogil=True)(function)


@_compiled
def is_sound_lzw(data: Any) -> bool:
    """True if no code of the stream (u1) comes before it is defined; one that is cut off is sound as far as it goes."""
    width, next_code, is_first = NARROWEST, FIRST_FREE, True
    bits, n_bits, at = 0, 0, 0
    while True:
        while n_bits < width:
            if at == len(data):
                return True
            bits = (bits << 8 | int(data[at])) & 0xFFFFFFFF
            n_bits += 8
            at += 1
        n_bits -= width
        code = bits >> n_bits & ((1 << width) - 1)
        if code == END:
            return True
        if code == CLEAR:
            width, next_code, is_first = NARROWEST, FIRST_FREE, True
        elif is_first:
            if code > 255:
                return False
            is_first = False
        else:
            if code > next_code or next_code >= TABLE:
                return False
            next_code += 1
            # a code grows one entry earlier than it would have to
            if next_code + 1 == 1 << width and width < WIDEST:
                width += 1

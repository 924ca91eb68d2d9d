"""Messages of other senders, described by their first part for the error message of the dialect that got them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stream_service.sources.live.codecs import LONGEST_NAME
from stream_service.sources.live.zmq.dialect import Part

READ_BY = {
    "array-1.0": "adzmq",
    "dheader-1.0": "simplon",
    "dimage-1.0": "simplon",
    "dseries_end-1.0": "simplon",
}
"""Entry of `detector.frames` that reads the messages of an htype."""
CBOR_MAPS = range(0xA0, 0xC0)
"""First byte of a map in CBOR, which is what Stream2 sends."""
SELF_DESCRIBED = b"\xd9\xd9\xf7"
"""Tag before it, by which CBOR may say that it is CBOR."""
SEARCHED_BYTES = 4096

_HTYPE = re.compile(rb'"htype"\s*+:\s*+\[?\s*+"([^"]*+)"')


def htype_of(part: Part) -> str | None:
    """The htype in the header that a part may be, which need not be JSON."""
    found = _HTYPE.search(part[:SEARCHED_BYTES])
    return None if found is None else found[1].decode(errors="replace")


def is_cbor(part: Part) -> bool:
    """True for a map in CBOR."""
    start = bytes(part[: len(SELF_DESCRIBED)])
    return start == SELF_DESCRIBED or (start != b"" and start[0] in CBOR_MAPS)


def description(parts: Sequence[Part]) -> str:
    """What a message is and what reads it, as in `it is of htype 'dimage-1.0', which detector.frames.simplon reads`."""
    if not parts:
        return "it has no parts"
    if is_cbor(parts[0]):
        return "it is CBOR, as of Stream2, which detector.frames.stream2 reads"
    htype = htype_of(parts[0])
    if htype is None:
        return f"it has {len(parts)} parts and no htype"
    entry = READ_BY.get(htype)
    reader = "nothing here" if entry is None else f"detector.frames.{entry}"
    return f"it is of htype {htype[:LONGEST_NAME]!r}, which {reader} reads"

"""Attributes that are written as NDPluginZMQ writes them are read as what they were."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream_service.sources.live.zmq.adzmq_header import read_header

BEFORE = b'{"htype":"array-1.0", "type":"uint8", "shape":[1,1], "frame":1, "timeStamp":1.5, "encoding":"", "ndattr":{'

NAMES = st.text(st.characters(exclude_characters='":', exclude_categories=["Cs"]), max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\,:{}[] \n\t\x00'), max_size=12).filter(
    lambda text: not ('"' in text and ":" in text)  # might be the next attribute
)
BYTES = st.integers(0, 255).map(lambda number: bytes([number]))
VALUES = st.one_of(TEXTS, BYTES, st.integers(-(2**63), 2**64 - 1), st.floats())


def written(name: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        content = value
    elif isinstance(value, str):
        content = f'"{value}"'.encode()
    else:
        content = (f"{value:.17g}" if isinstance(value, float) else f"{value}").encode()
    return f'"{name}":'.encode() + content


def read(value: Any) -> Any:
    """What becomes of an attribute."""
    if not isinstance(value, bytes):
        return value
    return int(value) if value.isdigit() else value[0] if value[0] < 128 else None


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_attributes_are_read_as_they_were_written(attributes):
    header = BEFORE + b",".join(written(name, value) for name, value in attributes.items()) + b"}}"
    found = read_header(memoryview(header))["ndattr"]
    assert list(found) == list(attributes)
    for name, value in attributes.items():
        expected = read(value)
        assert found[name] == expected or (math.isnan(expected) and math.isnan(found[name]))

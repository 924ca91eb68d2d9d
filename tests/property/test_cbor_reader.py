"""Whatever cbor2 writes, our reader of CBOR reads as it was; and it refuses what breaks off."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from cbor_items import plain
from hypothesis import given
from hypothesis import strategies as st

from stream_service.errors import SourceError
from stream_service.sources.live.zmq.cbor import decode_cbor


def _tagged(pair: tuple[int, Any]) -> tuple[str, int, Any]:
    return ("tag", *pair)


def _written(item: Any) -> Any:
    if isinstance(item, tuple):
        return CBORTag(item[1], _written(item[2]))
    if isinstance(item, list):
        return [_written(each) for each in item]
    return {name: _written(each) for name, each in item.items()} if isinstance(item, dict) else item


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=300)
)
items = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(st.text(), inner, max_size=30)
        | st.tuples(st.integers(6, 2**64 - 1), inner).map(_tagged)
    ),
    max_leaves=30,
).filter(lambda item: _depth(item) <= 16)


def _depth(item: Any) -> int:
    if isinstance(item, dict):
        return 1 + max((_depth(each) for each in item.values()), default=-1) if item else 0
    if isinstance(item, list):
        return 1 + max((_depth(each) for each in item), default=-1) if item else 0
    return 1 + _depth(item[2]) if isinstance(item, tuple) else 0


@given(items, st.booleans())
def test_what_cbor2_writes_is_read_as_it_was(item, indefinite_containers):
    message = cbor2.dumps(_written(item), indefinite_containers=indefinite_containers)
    assert plain(decode_cbor(memoryview(message))) == item


@given(items, st.data())
def test_a_message_that_breaks_off_is_refused(item, data):
    message = cbor2.dumps(_written(item))
    with pytest.raises(SourceError, match="its CBOR"):
        decode_cbor(memoryview(message[: data.draw(st.integers(0, len(message) - 1))]))

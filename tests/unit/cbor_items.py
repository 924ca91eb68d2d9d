"""Items of CBOR as our reader gives them, made comparable."""

from __future__ import annotations

from typing import Any

from stream_service.sources.live.zmq.cbor import Tagged


def plain(item: Any) -> Any:
    """What cbor2 is given for what we read."""
    if isinstance(item, memoryview):
        return item.tobytes()
    if isinstance(item, Tagged):
        return ("tag", item.tag, plain(item.content))
    if isinstance(item, list):
        return [plain(each) for each in item]
    return {name: plain(each) for name, each in item.items()} if isinstance(item, dict) else item

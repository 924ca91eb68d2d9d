"""Fields of Dectris' messages, which are JSON or CBOR: each is checked before it is accepted."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from stream_service.core.epochs import INT32_MAX
from stream_service.core.frame import MOST_NS, AttributeValue
from stream_service.errors import SourceError

LONGEST_SHOWN = 40
"""Characters of a value from the sender that go into an error message."""
REAL_TIME = "real_time"
"""Attribute of a frame: seconds for which it was exposed, as the detector measured them."""


def whole_number(
    fields: Mapping[str, Any], name: str, whose: str = "its", *, least: int = 0, most: int = INT32_MAX - 1
) -> int:
    """A field that must be an integer within limits; `SourceError` says `whose` it is if it is not."""
    value = fields.get(name)
    if type(value) is not int or not least <= value <= most:
        raise SourceError(f"{whose} {name} is {shown(value)}, not a whole number from {least} to {most}")
    return value


def n_images(n: object, n_triggers: object = 1) -> int | None:
    """Images that a series is to have; None if that cannot be."""
    if type(n) is not int or type(n_triggers) is not int or min(n, n_triggers) < 1:
        return None
    return n * n_triggers if n * n_triggers < INT32_MAX else None


def positive_s(value: object) -> float | None:
    """A time that is not 0; None if it cannot be one."""
    if type(value) is not int and type(value) is not float:
        return None
    return float(value) if 0 < value < MOST_NS else None


def shape_of(n_rows: object, n_columns: object) -> tuple[int, int] | None:
    """(y, x); None if that cannot be."""
    if type(n_rows) is not int or type(n_columns) is not int:
        return None
    return (n_rows, n_columns) if 0 < n_rows < INT32_MAX and 0 < n_columns < INT32_MAX else None


def possible_stamp(timestamp_ns: int) -> int:
    """The stamp of a frame. Raises `SourceError` if that cannot be one."""
    if abs(timestamp_ns) > MOST_NS:
        raise SourceError(f"it is stamped {timestamp_ns} ns after 1970, which cannot be: check the detector's clock")
    return timestamp_ns


def numbers_in(user_data: object, wanted: Container[str] | None) -> dict[str, AttributeValue]:
    """Numbers that the user has sent along, of those that are `wanted` (None: all), by name."""
    if not isinstance(user_data, Mapping):
        return {}
    return {
        name: value
        for name, value in user_data.items()
        if (name.isprintable() if wanted is None else name in wanted)
        and (type(value) is float or (type(value) is int and abs(value) < MOST_NS))
    }


def shown(value: object) -> str:
    """A value for an error message."""
    if isinstance(value, str):
        return repr(value[:LONGEST_SHOWN])
    if value is None or isinstance(value, int | float):
        return repr(value)[:LONGEST_SHOWN]
    return f"a {type(value).__name__}"

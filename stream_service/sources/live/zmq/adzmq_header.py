"""The header of an ADZMQ message, which is meant to be JSON and often is not.

NDPluginZMQ writes its NDAttributes as they are: a text with the quotes, backslashes and control characters that it has,
what is not finite as `nan` or `inf`, an (u)int8 as the raw byte that it is, only a comma for a type that it does not
know. What can be told apart is read:

- A backslash is a backslash. A text ends at the quote before the next attribute, or before the end.
- A raw byte below 128 is that number, and what has one of 128 or more is None: int8 or uint8, the byte does not say.
- A raw byte that is the digit `5` reads as 5, though it was 53: nobody can tell.
- A text that contains what looks like the next attribute (`","x":`) ends there.

It is read as JSON first, and if it is none, member by member, in a time linear in its length.
"""

from __future__ import annotations

import math
import re
from json import JSONDecoder
from typing import Any

from stream_service.errors import SourceError
from stream_service.sources.live.zmq.dialect import Part

MOST_HEADER_BYTES = 1 << 16
"""Limit of a header: some thousand attributes. What Python makes of it takes less than 3 MiB."""
NOT_FINITE = {"nan": math.nan, "-nan": math.nan, "-nan(ind)": math.nan, "inf": math.inf, "-inf": -math.inf}
"""As C++ writes them."""
FIRST_UNKNOWN_BYTE = 128
"""From here on int8 and uint8 differ."""
FILLING = ", "
"""What stands between two values where the attributes between them were not written."""

_JSON = JSONDecoder(strict=False)  # texts may have control characters
_ATTRIBUTES = re.compile(r'"ndattr"\s*+:\s*+\{')
_MEMBER = re.compile(r',\s*+"([^"]*+)"\s*+:')
_NOT_JSON = (ValueError, RecursionError)
"""What reading something as JSON raises."""


def read_header(part: Part) -> dict[str, Any]:
    """The members of a header; its `ndattr` has the values that can be told, None for the others.

    Raises `SourceError`, which does not name the frame, if it is no header.
    """
    if part.nbytes > MOST_HEADER_BYTES:
        raise SourceError(f"its header has {part.nbytes} bytes; at most {MOST_HEADER_BYTES} are read")
    try:
        text, is_utf8 = str(part, "utf-8"), True
    except UnicodeDecodeError:
        text, is_utf8 = str(part, "utf-8", "surrogateescape"), False
    try:
        header = _JSON.decode(text.replace("\\", r"\\") if "\\" in text else text)
    except _NOT_JSON:
        header = _read_by_members(text)
    if not isinstance(header, dict):
        raise SourceError("its header is no JSON object")
    attributes = header.get("ndattr")
    if not is_utf8 and isinstance(attributes, dict):
        header["ndattr"] = {_readable(name): _readable(value) for name, value in attributes.items()}
    return header


def _read_by_members(text: str) -> Any:
    """All before the attributes must be JSON; they are the last member, as NDPluginZMQ writes them."""
    start, text = _ATTRIBUTES.search(text), text.rstrip()
    if start is None or not text.endswith("}}") or len(text) - 2 < start.end():
        raise SourceError("its header is not JSON, nor what ADZMQ writes instead")
    try:
        header = _JSON.decode(text[: start.start()] + '"ndattr":{}}')
    except _NOT_JSON as error:
        raise SourceError("its header is not JSON before its attributes") from error
    header["ndattr"] = _attributes_in("," + text[start.end() : -2])
    return header


def _attributes_in(members: str) -> dict[str, Any]:
    """Attributes by name, from `,"name":value` after another."""
    attributes: dict[str, Any] = {}
    member = _MEMBER.search(members)
    if members[: None if member is None else member.start()].strip(FILLING):
        raise SourceError("its header has attributes without names")
    while member is not None:
        start = member.end()
        if members.startswith(' "', start):  # as other senders write
            start += 1
        is_text = members.startswith('"', start)
        following, stop = _following(members, start, start + 1)
        while is_text and not _is_whole(members, start, stop):
            if following is None:
                raise SourceError("a text in the attributes of its header does not end")
            following, stop = _following(members, start, following.start() + 1)
        attributes[member[1]] = _value_of(members[start:stop])
        member = following
    return attributes


def _following(members: str, start: int, after: int) -> tuple[re.Match[str] | None, int]:
    """What looks like the next member, from `after` on, and where the value from `start` would end before it."""
    following = _MEMBER.search(members, after)
    stop = len(members) if following is None else following.start()
    while stop > start + 1 and members[stop - 1] in FILLING:
        stop -= 1
    return following, stop


def _is_whole(members: str, start: int, stop: int) -> bool:
    """True of a text with its two quotes, and of a raw byte that is a quote."""
    return members[stop - 1] == '"' or stop == start + 1


def _value_of(value: str) -> Any:
    if len(value) > 1 and value[0] == '"':
        return value[1:-1]
    if len(value) == 1 and value not in "0123456789":
        return ord(value) if ord(value) < FIRST_UNKNOWN_BYTE else None
    value = value.strip()
    if value in NOT_FINITE:
        return NOT_FINITE[value]
    try:
        number, end = _JSON.raw_decode(value)
    except _NOT_JSON:
        return None
    return number if end == len(value) else None


def _readable(value: Any) -> Any:
    """A text whose bytes are not UTF-8, with U+FFFD for those; anything else as it is."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if isinstance(value, str) else value

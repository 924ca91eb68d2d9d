"""Text as bytes, in files and in char waveforms: UTF-8, whoever reads or writes it.

What we write is always whole characters of valid UTF-8. What others wrote may be Latin-1, or may have been cut in the
middle of a character.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LONGEST_CHARACTER = 4
"""Bytes."""


def encoded(text: str, most_bytes: int | None = None) -> bytes:
    """The text in UTF-8, cut at a character if it is too long.

    Half characters, as in the name of a file that is not UTF-8, are written as Python shows them: `\\udcff`.
    """
    data = text.encode("utf-8", "backslashreplace")
    if most_bytes is None or len(data) <= most_bytes:
        return data
    return data[:most_bytes].decode(errors="ignore").encode()


def decoded(data: bytes | str) -> str:
    """Text that others wrote; what h5py or pyepics have made a `str` of is read anew, if they made half characters."""
    if isinstance(data, str):
        if data.isprintable() and data.isascii():
            return data
        try:
            data.encode()
        except UnicodeEncodeError:
            data = unescaped(data)
        else:
            return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        was_cut = error.start > len(data) - LONGEST_CHARACTER and error.reason == "unexpected end of data"
        return data[: error.start].decode() if was_cut else data.decode("latin-1")


def escaped(name: bytes) -> str:
    """A name in a file of others; bytes that are not UTF-8 stay what they are, so that `unescaped` finds it again."""
    return name.decode("utf-8", "surrogateescape")


def unescaped(name: str) -> bytes:
    """The bytes of such a name."""
    return name.encode("utf-8", "surrogateescape")


def shown_name(name: str) -> str:
    """Such a name as people read it, for new files and messages: UTF-8, or Latin-1. Unlike a value it is never cut."""
    try:
        return unescaped(name).decode()
    except UnicodeDecodeError:
        return unescaped(name).decode("latin-1")


def text_in_waveform(value: Any) -> str:
    """Text of a char waveform up to its NUL, as pyepics brings it: an array, or one character alone as a number.

    The text of a record that is a string comes as it is; nothing (no answer yet) is an empty text.
    """
    if value is None or isinstance(value, str):
        return value or ""
    characters = np.atleast_1d(np.asarray(value)).astype(np.uint8)
    return decoded(characters.tobytes().split(b"\0", 1)[0])


def waveform_of(text: str) -> npt.NDArray[np.uint8]:
    """Text with its NUL, to be put into a char waveform: of a `str`, pyepics would send what is not ASCII as ý."""
    return np.frombuffer(encoded(text) + b"\0", dtype=np.uint8)


def from_bytes_of_characters(text: str) -> str:
    """The text that pyepics brings with one character for each byte, because it was asked for a string."""
    try:
        return decoded(text.encode("latin-1"))
    except UnicodeEncodeError:  # it is whole already
        return text

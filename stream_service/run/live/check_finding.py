"""The outcome of one check of a profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stream_service.errors import PtychostreamError


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding; `about` is what was looked at. An error makes `check` fail, a warning does not."""

    level: Literal["ok", "warning", "error"]
    about: str
    text: str


def problem_of(action: Callable[[], object]) -> str:
    """The sentence of the error that `action` raises; empty if it raises none."""
    try:
        action()
    except PtychostreamError as error:
        return str(error)
    return ""

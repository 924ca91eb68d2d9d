"""Findings of the validator: one plain sentence each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong (`error`) or worth a look (`warning`), where, and what to do about it."""

    level: Literal["error", "warning"]
    where: str
    """Path inside the file, or the path of the file itself."""
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.message}"


def error(where: str, message: str) -> Finding:
    """Something that makes the file wrong or unreadable for somebody."""
    return Finding("error", where, message)


def warning(where: str, message: str) -> Finding:
    """Something allowed that will probably surprise somebody."""
    return Finding("warning", where, message)

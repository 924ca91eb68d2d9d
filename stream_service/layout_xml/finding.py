"""Findings in a layout or an attributes file: the problem, its effect on the beamline, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Severity: with an error data are lost or not where they should be, a warning helps to make a good file better."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem; each text is a sentence without its full stop."""

    level: Level
    line: int
    problem: str
    consequence: str
    """What would happen on the beamline."""
    remedy: str
    """What to write instead."""
    is_placeholder: bool = False
    """Right as a template, and of no use on a beamline."""

    def __str__(self) -> str:
        return f"{self.problem}. On the beamline: {self.consequence}. Instead: {self.remedy}."


def error(line: int, problem: str, consequence: str, remedy: str) -> Finding:
    """A problem that loses data, or puts them where nobody finds them."""
    return Finding(Level.ERROR, line, problem, consequence, remedy)


def warning(line: int, problem: str, consequence: str, remedy: str) -> Finding:
    """A finding that makes a good file better."""
    return Finding(Level.WARNING, line, problem, consequence, remedy)

"""The part of the scan that is evaluated: a rectangle or a circle in the coordinates of the positions."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError
from stream_service.text.units import METRES

DEFAULT_UNIT = "um"
"""Of a number without one: positions are in metres, and nobody scans 50 of those."""
EDGE_M = 1e-12
"""An edge is this wide: a picometre, far below any encoder, far above rounding."""
LENGTH = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\D*)")


@dataclass(frozen=True, slots=True)
class Length:
    """A length as the operator gave it."""

    number: float
    unit: str

    @classmethod
    def parsed(cls, text: str, option: str) -> Length:
        """`50`, `50um` or `0.05mm`. Raises `ConfigError` naming the option."""
        found = LENGTH.fullmatch(text.strip())
        unit = METRES.name(found[2]) if found is not None and found[2] else DEFAULT_UNIT
        if found is None or unit not in METRES or not math.isfinite(float(found[1])):
            raise ConfigError(f"{option} {text!r} is not a length: give a number in µm, or with a unit, such as 0.05mm")
        return cls(float(found[1]), unit)

    @property
    def metres(self) -> float:
        """The same in metres."""
        return self.number * (METRES.factor(self.unit) or math.nan)

    def __str__(self) -> str:
        return f"{self.number:g} {self.unit.replace('um', 'µm')}"


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle, edges included."""

    cx: Length
    cy: Length
    width: Length
    height: Length

    @classmethod
    def parsed(cls, texts: Sequence[str]) -> Rectangle:
        """The words of `--rect`. Raises `ConfigError`."""
        return cls(*_lengths(texts, "--rect", n_sizes=2))

    def contains(self, x_m: npt.NDArray[np.float64], y_m: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """True where a position lies within; a position that is not known does not."""
        across, up = np.abs(x_m - self.cx.metres), np.abs(y_m - self.cy.metres)
        return (across <= self.width.metres / 2 + EDGE_M) & (up <= self.height.metres / 2 + EDGE_M)

    @property
    def as_json(self) -> dict[str, Any]:
        """For `qc_meta.json`."""
        sizes = {"width_m": self.width.metres, "height_m": self.height.metres}
        return {"kind": "rect", "cx_m": self.cx.metres, "cy_m": self.cy.metres, **sizes, "said": str(self)}

    def __str__(self) -> str:
        return f"the rectangle of {self.width} x {self.height} about x {self.cx}, y {self.cy}"


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle, edge included."""

    cx: Length
    cy: Length
    radius: Length

    @classmethod
    def parsed(cls, texts: Sequence[str]) -> Circle:
        """The words of `--circ`. Raises `ConfigError`."""
        return cls(*_lengths(texts, "--circ", n_sizes=1))

    def contains(self, x_m: npt.NDArray[np.float64], y_m: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """True where a position lies within; a position that is not known does not."""
        return np.hypot(x_m - self.cx.metres, y_m - self.cy.metres) <= self.radius.metres + EDGE_M

    @property
    def as_json(self) -> dict[str, Any]:
        """For `qc_meta.json`."""
        place = {"cx_m": self.cx.metres, "cy_m": self.cy.metres, "radius_m": self.radius.metres}
        return {"kind": "circ", **place, "said": str(self)}

    def __str__(self) -> str:
        return f"the circle of radius {self.radius} about x {self.cx}, y {self.cy}"


Region = Rectangle | Circle


def region_of(rect: Sequence[str] | None, circ: Sequence[str] | None) -> Region | None:
    """The region of the options; None: the whole scan. Raises `ConfigError`."""
    if rect and circ:
        raise ConfigError("--rect and --circ exclude each other: give one of them")
    if rect:
        return Rectangle.parsed(rect)
    return Circle.parsed(circ) if circ else None


def _lengths(texts: Sequence[str], option: str, n_sizes: int) -> list[Length]:
    lengths = [Length.parsed(text, option) for text in texts]
    for size in lengths[-n_sizes:]:
        if size.number <= 0:
            raise ConfigError(f"{option}: the size {size} must be above 0")
    return lengths

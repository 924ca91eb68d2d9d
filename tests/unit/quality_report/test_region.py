"""The region that is evaluated: lengths with a unit, or in micrometres."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.errors import ConfigError
from stream_service.quality_report.region import Circle, Length, Rectangle, region_of

X_M = np.array([0.0, 24e-6, 25e-6, 26e-6, np.nan])
Y_M = np.zeros(5)


@pytest.mark.parametrize(
    ("text", "metres", "said"),
    [
        ("50", 50e-6, "50 µm"),
        ("50um", 50e-6, "50 µm"),
        ("50 µm", 50e-6, "50 µm"),
        ("-5e1nm", -50e-9, "-50 nm"),
        ("0.05mm", 50e-6, "0.05 mm"),
        (".5 microns", 0.5e-6, "0.5 µm"),
        ("1e-5m", 1e-5, "1e-05 m"),
    ],
)
def test_length_is_in_micrometres_unless_it_says_otherwise(text: str, metres: float, said: str) -> None:
    length = Length.parsed(text, "--rect")
    assert length.metres == pytest.approx(metres, rel=1e-12)
    assert str(length) == said


@pytest.mark.parametrize("text", ["", "um", "5 apples", "nan", "1e999", "5um5", "0x10", "5 eV"])
def test_what_is_no_length_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--circ .* is not a length: give a number in µm"):
        Length.parsed(text, "--circ")


def test_rectangle_is_given_by_centre_and_size_and_includes_its_edges() -> None:
    region = Rectangle.parsed(("0", "0", "50", "50"))
    assert region.contains(X_M, Y_M).tolist() == [True, True, True, False, False]
    assert region.contains(Y_M, X_M).tolist() == [True, True, True, False, False]
    assert region.as_json["width_m"] == pytest.approx(50e-6)
    assert "50 µm x 50 µm" in region.as_json["said"]


def test_circle_is_given_by_centre_and_radius() -> None:
    region = Circle.parsed(("1um", "0", "0.024mm"))
    assert region.contains(X_M, Y_M).tolist() == [True, True, True, False, False]
    assert "radius 0.024 mm about x 1 µm, y 0 µm" in str(region)


@pytest.mark.parametrize("words", [("0", "0", "0", "5"), ("0", "0", "5", "-5")])
def test_a_size_must_be_above_zero(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"--rect: the size .* must be above 0"):
        Rectangle.parsed(words)


def test_rectangle_and_circle_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        region_of(("0", "0", "1", "1"), ("0", "0", "1"))
    assert region_of(None, None) is None

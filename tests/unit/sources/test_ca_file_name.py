"""Names of files by PVs: of those that hold a text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_service.sources.live import ca_file_name
from stream_service.sources.live.ca_file_name import CaFileName
from stream_service.text.utf8 import waveform_of


@pytest.fixture
def monitored(monkeypatch: pytest.MonkeyPatch) -> tuple[CaFileName, Any]:
    """A name, and the function by which its PV posts."""
    said: list[Any] = []
    monkeypatch.setattr(ca_file_name, "PV", lambda name, callback, **_: said.append(callback))
    return CaFileName("BL:NAME"), said[0]


@pytest.mark.parametrize(
    ("value", "field_type", "words"),
    [
        (104.0, "time_double", "BL:NAME holds numbers, and not a text that could name a file"),
        (np.array([47, 100], np.int32), "time_long", "BL:NAME holds numbers"),
        (1, "time_enum", "BL:NAME holds a choice"),
    ],
)
def test_numbers_name_no_file_and_it_is_said(monitored: Any, value: Any, field_type: str, words: str):
    name, post = monitored
    post(pvname="BL:NAME", value=value, type=field_type)
    assert name.latest == "" and name.since(0) == ()
    assert name.problem.startswith(words)


@pytest.mark.parametrize(("value", "field_type"), [("/d/a.h5", "time_string"), (waveform_of("/d/a.h5"), "time_char")])
def test_texts_of_both_kinds_do(monitored: Any, value: Any, field_type: str):
    name, post = monitored
    post(pvname="BL:NAME", value=value, type=field_type)
    assert (name.latest, name.problem) == ("/d/a.h5", "")

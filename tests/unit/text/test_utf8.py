"""Text as bytes: what we write is UTF-8 of whole characters, and what others wrote is read as what they meant."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_service.sources.tables.recorded_units import length_factor, text_of
from stream_service.standard_file.schema.contents import text_in
from stream_service.standard_file.schema.spec import fixed_string
from stream_service.testing.example_file import write_example
from stream_service.text.utf8 import (
    decoded,
    encoded,
    from_bytes_of_characters,
    text_in_waveform,
    waveform_of,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(TEXT)
def test_what_is_written_is_read(text: str) -> None:
    assert decoded(encoded(text)) == text
    assert text_in_waveform(waveform_of(text)) == text
    assert from_bytes_of_characters(encoded(text).decode("latin-1")) == text


@given(TEXT, st.integers(0, 40))
def test_a_text_is_cut_between_characters(text: str, most_bytes: int) -> None:
    cut = encoded(text, most_bytes)
    assert len(cut) <= most_bytes and text.startswith(cut.decode())
    assert len(encoded(text)) <= most_bytes or len(cut) > most_bytes - 4, "no more is lost than the character cut"
    assert fixed_string(text, most_bytes + 1).item().decode() == encoded(text, most_bytes + 1).decode()


def test_latin_1_and_texts_cut_by_others_are_read_as_meant() -> None:
    assert decoded("µm".encode("latin-1")) == "µm"
    assert decoded("10 µ".encode()[:-1]) == "10 "
    assert decoded("\udcb5m") == "µm", "h5py makes half characters of Latin-1 in a text of variable length"
    assert decoded("样品") == "样品"


def test_the_name_of_a_file_that_is_no_utf8_can_be_written() -> None:
    name = b"scan\xff.h5".decode("utf-8", "surrogateescape")
    assert encoded(name) == rb"scan\udcff.h5"
    assert fixed_string(name).item() == rb"scan\udcff.h5"


@pytest.mark.parametrize("value", [np.array([104, 105, 0, 120], np.uint8), np.array([104, 105], np.int8), "hi"])
def test_a_waveform_ends_at_its_nul(value: object) -> None:
    assert text_in_waveform(value) == "hi"


def test_one_character_and_none_are_texts_too() -> None:
    assert (text_in_waveform(104), text_in_waveform(None)) == ("h", "")


@pytest.mark.parametrize("unit", ["µm", "μm", "µm".encode(), "µm".encode("latin-1")])
def test_micrometres_are_micrometres_with_either_sign_in_either_encoding(unit: str | bytes, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.attrs["units"] = np.bytes_(unit) if isinstance(unit, bytes) else unit
        assert length_factor(text_of(file.attrs["units"]), "x") == 1e-6


def test_texts_of_a_run_are_in_the_file_as_they_were_given(tmp_path: Path) -> None:
    sample = "µ-probe é 样品 " * 3
    write_example(tmp_path / "f.h5", 4, sample=sample, scan_id="é样")
    with h5py.File(tmp_path / "f.h5") as file:
        assert text_in(file["/entry/run/scan_id"]) == "é样"  # type: ignore[arg-type]
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if text_in_any(item) == sample else None)
        assert names, "the name of the sample is somewhere"


def text_in_any(item: object) -> str | None:
    return text_in(item) if isinstance(item, h5py.Dataset) else None

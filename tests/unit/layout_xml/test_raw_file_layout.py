"""Layouts as the devices take them: what cannot be read is named, before an IOC is given anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptychostream_devices import LayoutError, RawFileLayout

LAYOUT = Path(__file__).resolve().parents[3] / "xml_layouts" / "hermes" / "beamline_cxi_layout.xml"


def test_a_layout_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"cannot read the layout .*none\.xml: No such file or directory"):
        RawFileLayout.read(tmp_path / "none.xml")


def test_a_file_of_attributes_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "attributes.xml").write_bytes(b"\xff\xfe<")
    with pytest.raises(LayoutError, match=r"cannot read the file of NDAttributes .*attributes\.xml: it is not UTF-8"):
        RawFileLayout.read(LAYOUT, tmp_path / "attributes.xml")

"""Checks of a raw file before the scan: layout, attributes and profile against each other."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from without_privileges import permissions_hold

from stream_service.run.live.check_finding import Finding
from stream_service.service.check_raw_file import NO_FOLDER, NO_PLUGIN, check_raw_file
from stream_service.settings.beamlines import layouts_folder
from stream_service.settings.profile_file import load_profile
from stream_service.settings.raw_file import RawFileSettings
from stream_service.sources.live.ca_file_plugin import FilePluginState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """HERMES with real PVs, its layout rendered, and no plugin to ask."""
    copied = shutil.copytree(layouts_folder() / "hermes", tmp_path / "hermes")
    replace(copied / "attributes.xml", "PLACEHOLDER:", "BL:")
    replace(copied / "profile.yaml", '  plugin: "PLACEHOLDER:HDF1:"\n', "")
    return copied


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def problems(folder: Path) -> list[Finding]:
    found = check_raw_file(load_profile(folder / "profile.yaml"))
    return [finding for finding in found if finding.level != "ok" and finding.text != NO_PLUGIN]


def test_without_a_plugin_lost_frames_may_be_counted_only(folder: Path) -> None:
    assert Finding("warning", "raw file", NO_PLUGIN) in check_raw_file(load_profile(folder / "profile.yaml"))


def test_what_fits_together_is_fine(folder: Path) -> None:
    assert problems(folder) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "about", "words"),
    [
        ("attributes.xml", "BL:X.RBV", "PLACEHOLDER:X.RBV", "attributes.xml, line 5", "placeholder PLACEHOLDER:X.RBV"),
        ("attributes.xml", 'name="ENERGY"', 'name="Energy"', "attributes.xml", "channels.energy of the profile is"),
        (
            "attributes.xml",
            'name="EXPOSE"',
            'name="EXP"',
            "attributes.xml",
            "detector.exposure_attribute of the profile",
        ),
        ("attributes.xml", "</Attributes>", "", "attributes.xml, line", "it is no XML"),
        ("profile.yaml", "distance_m: 0.1", "distance_m: 0.2", "line 45", "det_dist_m is 0.1, the profile says 0.2"),
        ("beamline_cxi_layout.xml", 'value="0.1"', 'value=""', "line 45", "det_dist_m is empty, the profile says 0.1"),
        ("beamline_cxi_layout.xml", 'value="0.1"', 'value="0.1,0.2"', "line 45", "det_dist_m is 0.1,0.2, the"),
        ("profile.yaml", "beamline_cxi_layout", "no_layout", "layout", "cannot read"),
        ("beamline_cxi_layout.xml", 'source="detector"', 'source="NDArray"', "line 4", "no dataset takes the frames"),
        (
            "beamline_cxi_layout.xml",
            'ndattribute="POSX"',
            'ndattribute="posx"',
            "line",
            "posx is not in the attributes",
        ),
    ],
)
def test_what_does_not_is_an_error(folder: Path, name: str, old: str, new: str, about: str, words: str) -> None:
    replace(folder / name, old, new)
    found = [finding for finding in problems(folder) if words in finding.text]
    assert found and found[0].level == "error" and about in found[0].about


def test_exposure_time_that_a_control_unit_sends_is_no_ndattribute_of_the_camera(folder: Path) -> None:
    replace(folder / "profile.yaml", 'pva: "PLACEHOLDER:Pva1:Image"', 'stream2: "tcp://dcu:31001"')
    replace(folder / "profile.yaml", "marks: end", "marks: start")
    replace(folder / "profile.yaml", "exposure_attribute: EXPOSE", "exposure_attribute: real_time")
    assert problems(folder) == []


STATE = FilePluginState(
    layout="",
    layout_is_valid=True,
    layout_message="",
    layout_bytes=2048,
    swmr=True,
    stores_attributes=True,
    attribute_chunk=1,
    flush_every=1,
)


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({}, "ok", "has its default layout; it takes XML of 2048 bytes"),
        ({"layout": "/ioc/layout.xml"}, "ok", "has a layout of its own"),
        (
            {"layout": "x", "layout_is_valid": False, "layout_message": "cannot be opened"},
            "error",
            "XMLFileName is not a layout (cannot be opened)",
        ),
        ({"attribute_chunk": 0}, "warning", "NDAttributeChunk is 0 with SWMRMode on"),
        ({"stores_attributes": False}, "warning", "StoreAttr is No"),
    ],
)
def test_settings_of_the_plugin_are_judged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], level: str, words: str
) -> None:
    monkeypatch.setattr(
        "stream_service.service.check_raw_file.read_file_plugin", lambda prefix: dataclasses.replace(STATE, **changes)
    )
    replace(folder / "profile.yaml", "  layout: beam", '  plugin: "BL:HDF1:"\n  layout: beam')
    found = list(check_raw_file(load_profile(folder / "profile.yaml")))
    assert any(finding.level == level and words in finding.text for finding in found), found


def found_of_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, written: str, mapped: str) -> Finding:
    monkeypatch.setattr(
        "stream_service.service.check_raw_file.read_file_plugin",
        lambda prefix: dataclasses.replace(STATE, folder=written),
    )
    settings = RawFileSettings(plugin="BL:HDF1:", path_map={"/ioc/data": mapped} if mapped else {})
    profile = load_profile(folder / "profile.yaml").model_copy(update={"raw_file": settings})
    (found,) = (finding for finding in check_raw_file(profile) if "writes to" in finding.text)
    return found


def test_plugin_that_has_no_folder_yet_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_service.service.check_raw_file.read_file_plugin", lambda prefix: STATE)
    settings = RawFileSettings(plugin="BL:HDF1:")
    profile = load_profile(folder / "profile.yaml").model_copy(update={"raw_file": settings})
    assert Finding("warning", "raw file", f"BL:HDF1:FilePath is empty: {NO_FOLDER}") in check_raw_file(profile)


def test_folder_that_the_plugin_writes_to_is_looked_for_here(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for written, mapped, level, words in [
        (f"{tmp_path}/", "", "ok", "which can be read here"),
        ("/ioc/data/hermes/", str(tmp_path), "ok", f"({tmp_path / 'hermes'} here), which can be read here"),
        ("/ioc/data/hermes/", "", "warning", "raw_file.path_map of the profile says where"),
        ("/ioc/data/none/", str(tmp_path), "warning", f"({tmp_path / 'none'} here), which is no folder here: is it"),
        ("data/", "", "warning", "depends on where the IOC was started"),
    ]:
        found = found_of_folder(folder, monkeypatch, written, mapped)
        assert found.level == level and words in found.text, found


def test_folder_that_may_not_be_read_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    with permissions_hold():
        found = found_of_folder(folder, monkeypatch, f"{tmp_path}/closed/", "")
    assert found.level == "warning" and "may not read" in found.text

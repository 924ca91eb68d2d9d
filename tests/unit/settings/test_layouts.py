"""A beamline's profile is found in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream_service.errors import ConfigError
from stream_service.settings import beamlines as layouts
from stream_service.settings.preprocessing import Preprocessing
from stream_service.settings.profile_file import load_profile

CHECKOUT = Path(__file__).resolve().parents[3]


def shelf_with(folder: Path, *beamlines: str) -> Path:
    for beamline in beamlines:
        (folder / beamline).mkdir(parents=True)
        (folder / beamline / "profile.yaml").write_text(f"beamline: {beamline}\n", encoding="utf-8")
    return folder


def test_in_a_checkout_the_top_level_folder_is_used() -> None:
    assert layouts.profile_path("sim") == CHECKOUT / "xml_layouts" / "sim" / "profile.yaml"


def test_checkout_wins_over_a_packaged_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout, package = shelf_with(tmp_path / "checkout", "sim"), shelf_with(tmp_path / "package", "sim")
    monkeypatch.setattr(layouts, "SHELVES", (checkout, package))
    assert layouts.profile_path("sim") == checkout / "sim" / "profile.yaml"


@pytest.mark.parametrize("checkout", ["missing", "empty"])
def test_installed_wheel_uses_the_packaged_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: str) -> None:
    (tmp_path / "empty").mkdir()
    package = shelf_with(tmp_path / "package", "sim")
    monkeypatch.setattr(layouts, "SHELVES", (tmp_path / checkout, package))
    assert layouts.profile_path("sim") == package / "sim" / "profile.yaml"


def test_unknown_beamline_is_told_with_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "SHELVES", (shelf_with(tmp_path, "sim", "hermes"),))
    with pytest.raises(ConfigError, match="no beamline 'hemres': choose one of hermes, sim"):
        layouts.profile_path("hemres")


def test_install_without_layouts_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "SHELVES", (tmp_path,))
    with pytest.raises(ConfigError, match="reinstall ptychostream"):
        layouts.profile_path("sim")


@pytest.mark.parametrize("path", sorted((CHECKOUT / "xml_layouts").glob("*/profile.yaml")), ids=lambda p: p.parent.name)
def test_every_profile_of_the_checkout_loads(path: Path) -> None:
    assert load_profile(path).beamline


@pytest.mark.parametrize(
    ("beamline", "expected"),
    [
        # the beamline's hermes_ingest.sh: --roi 1024,1024 --roi-center 0.5,0.5 --grouping sum --frames-per-pos 3
        ("hermes", {"roi": (1024, 1024), "roi_center": "0.5,0.5", "grouping": "sum", "frames_per_position": 3}),
        # the beamline's xrnf_ingest.sh: --rotate 180 --flip none --roi 1024,1024 --grouping mean
        ("xrnf", {"rotate": 180, "flip": "none", "roi": (1024, 1024), "grouping": "mean"}),
    ],
)
def test_profile_stands_for_the_wrapper_script_of_its_beamline(beamline: str, expected: dict[str, Any]) -> None:
    assert layouts.load_named_profile(beamline).preprocessing == Preprocessing(**expected)


@pytest.mark.parametrize("beamline", ["sim", "hermes", "xrnf", "aps_2idd", "aps_26id", "template"])
def test_profile_is_loaded_by_name(beamline: str) -> None:
    assert layouts.load_named_profile(beamline) == load_profile(CHECKOUT / "xml_layouts" / beamline / "profile.yaml")


@pytest.mark.parametrize("given", ["./sim", "sim.yaml", "sub/sim", "~/sim", "{folder}/sim"])
def test_what_is_no_plain_word_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    text = layouts.profile_path("sim").read_text(encoding="utf-8").replace("simulated beamline", "my own")
    path = Path(given.format(folder=tmp_path)).expanduser()
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    assert layouts.load_named_profile(given.format(folder=tmp_path)).beamline == "my own"


def test_beamline_wins_over_a_file_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sim").write_text("not a profile", encoding="utf-8")
    assert layouts.load_named_profile("sim").beamline == "simulated beamline"


def test_name_nobody_knows_is_told_with_those_there_are() -> None:
    known = "aps_26id, aps_2idd, hermes, sim, template, xrnf"
    with pytest.raises(ConfigError, match=f"no beamline 'hemres': choose one of {known}"):
        layouts.load_named_profile("hemres")


@pytest.mark.parametrize("given", ["nowhere.yaml", "nowhere/profile.yaml", "../nowhere", ".", "xml_layouts/"])
def test_path_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="cannot read the profile"):
        layouts.load_named_profile(given)

"""A beamline's profile is found in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_service import layouts
from stream_service.config import load_profile
from stream_service.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parents[2]


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

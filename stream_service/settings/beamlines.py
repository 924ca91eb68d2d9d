"""Folders of the beamlines' layouts and profiles: in the checkout's `xml_layouts`, or in the installed package."""

from __future__ import annotations

import os
from pathlib import Path

from stream_service.errors import ConfigError
from stream_service.settings.profile import Profile
from stream_service.settings.profile_file import load_profile

_PACKAGE = Path(__file__).resolve().parents[1]
SHELVES = (_PACKAGE.parent / "xml_layouts", _PACKAGE / "xml_layouts")
"""The checkout's folder first: in an editable install the packaged copy is missing or stale."""
PROFILE = "profile.yaml"


def layouts_folder() -> Path:
    """The folder that holds one folder per beamline; raises `ConfigError` if this install has none."""
    for shelf in SHELVES:
        if any(shelf.glob(f"*/{PROFILE}")):
            return shelf
    raise ConfigError(f"no beamline layouts in {' or '.join(map(str, SHELVES))}: reinstall ptychostream")


def profile_path(beamline: str) -> Path:
    """The profile of a beamline by name; raises `ConfigError` naming those there are."""
    shelf = layouts_folder()
    path = shelf / beamline / PROFILE
    if not os.path.isfile(path):  # False, too, for what no name can be
        known = ", ".join(sorted(found.parent.name for found in shelf.glob(f"*/{PROFILE}")))
        raise ConfigError(f"there is no beamline '{beamline}': choose one of {known}, or give the path of a profile")
    return path


def find_profile(name_or_path: str) -> Path:
    """The file that is meant: a plain word is a beamline's name, all else a path (`./hermes` is a file, too).

    Raises `ConfigError` naming the beamlines there are; whether the file of a path exists is for its reader to say.
    """
    path = Path(name_or_path).expanduser()
    is_word = name_or_path == path.name and not path.suffix
    return profile_path(name_or_path) if is_word else path


def load_named_profile(name_or_path: str) -> Profile:
    """The profile of a beamline by name, or of a YAML file by path; raises `ConfigError`."""
    return load_profile(find_profile(name_or_path))

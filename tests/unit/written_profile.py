"""A good profile for tests, written with some fields of it changed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_service.errors import ConfigError
from stream_service.settings.profile_file import load_profile

GOOD: dict[str, Any] = {
    "beamline": "test",
    "service": {"data_root": "data"},
    "detector": {
        "frames": {"pva": "D:Pva1:Image"},
        "acquire_pv": "D:cam1:Acquire_RBV",
        "counter_pv": "D:cam1:ArrayCounter_RBV",
        "exposure_pv": "D:cam1:AcquireTime_RBV",
        "distance_m": 0.1,
        "pixel_m": 75e-6,
    },
    "channels": {
        "x": {"how": "timestamp", "pv": "M:X.RBV", "unit": "um", "moving": {"pv": "M:X.DMOV"}},
        "y": {"how": "attribute", "attribute": "posy", "unit": "mm"},
        "energy": {"how": "attribute", "attribute": "energy", "unit": "keV"},
    },
}


def write(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """The good profile with `changes` by dotted field; None removes a field."""
    document = copy.deepcopy(GOOD)
    for field, value in (changes or {}).items():
        *parents, name = field.split(".")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            del place[name]
        else:
            place[name] = value
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def mistake(folder: Path, changes: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        load_profile(write(folder, changes))
    return str(caught.value)

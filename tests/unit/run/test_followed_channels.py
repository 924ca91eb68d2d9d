"""PVs that a live run follows, and what it takes for a change of each."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from stream_service.run.live.beamline_monitors import followed_channels
from stream_service.settings.beamlines import profile_path
from stream_service.settings.profile import Profile

ATTRIBUTE = {"how": "attribute", "attribute": "posx", "pv": "X.RBV", "unit": "um"}


def profile(**channels: dict) -> Profile:
    document = yaml.safe_load(Path(profile_path("sim")).read_text(encoding="utf-8"))
    document["channels"] |= channels
    return Profile.model_validate(document)


@pytest.mark.parametrize("unit", ["eV", "keV"])
@pytest.mark.parametrize("how", [{"how": "timestamp"}, {"how": "attribute", "attribute": "energy"}])
def test_an_energy_that_has_changed_is_waited_for(unit: str, how: dict) -> None:
    """However late its update comes: a step of a spectrum is a tenth of an electronvolt."""
    follow = followed_channels(profile(energy={"pv": "E", "unit": unit} | how))["energy"]
    step = {"eV": 0.1, "keV": 1e-4}[unit]
    assert 5 * follow.tolerance < step


def test_every_channel_that_a_row_waits_for_has_a_tolerance() -> None:
    follow = followed_channels(profile(x=ATTRIBUTE))
    awaited = {name for name, pv in follow.items() if math.isfinite(pv.tolerance)}
    assert awaited == {"x", "y", "energy", "y_moving"}
    assert follow["x"].tolerance == pytest.approx(3e-3)

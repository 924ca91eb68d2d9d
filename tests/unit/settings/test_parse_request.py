"""Reading of the text in the daemon's PV `Request`."""

from __future__ import annotations

import pytest

from stream_service.errors import ConfigError
from stream_service.service.requests import parse_request
from stream_service.settings.beamlines import profile_path
from stream_service.settings.profile import Profile
from stream_service.settings.profile_file import load_profile


@pytest.fixture
def profile() -> Profile:
    profile = load_profile(profile_path("sim"))
    preprocessing = profile.preprocessing.model_copy(update={"frames_per_position": 3})
    return profile.model_copy(update={"preprocessing": preprocessing})


def test_profile_says_how_many_frames_make_a_row_if_the_request_does_not(profile: Profile) -> None:
    assert parse_request('{"scan_id": "a", "n_positions": 2}', profile).n_planned_frames == 6
    assert parse_request('{"scan_id": "a", "n_positions": 2, "frames_per_position": 1}', profile).n_planned_frames == 2


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"scan_id": "a/b"}', '{"scan_id": "a", "unknown": 1}'])
def test_wrong_request_is_a_sentence(profile: Profile, text: str) -> None:
    with pytest.raises(ConfigError, match="the request is wrong"):
        parse_request(text, profile)

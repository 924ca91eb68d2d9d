"""What is said beforehand of positions that only the service would have heard."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_run import profile_for

from stream_service.run.live.arming_doubts import check_after_crash
from stream_service.settings.profile import Profile

KEPT = {"how": "attribute", "attribute": "pos", "unit": "um"}


@pytest.mark.parametrize(("kept", "told"), [((), "x and y: "), (("x",), "y: "), (("x", "y"), None)])
def test_positions_by_monitors_are_told(tmp_path: Path, kept: tuple[str, ...], told: str | None) -> None:
    document = profile_for(tmp_path).model_dump()
    profile = Profile.model_validate(document | {"channels": document["channels"] | dict.fromkeys(kept, KEPT)})
    found = list(check_after_crash(profile))
    assert [finding.level for finding in found] == ["warning"] * (told is not None)
    assert told is None or found[0].text.startswith(told)

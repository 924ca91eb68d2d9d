"""`check` says of grouping what the arming of a run would refuse, as far as the profile tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_run import profile_for

from stream_service.run.live.grouping_checks import grouping_findings
from stream_service.settings.profile import Profile

BY_POSITION = {"group_by": "position"}
OPEN = "runs whose request does not give frames_per_position are refused: "


@pytest.mark.parametrize(
    ("shards", "auto", "preprocessing", "level", "words"),
    [
        (2, False, {"frames_per_position": 3}, "warning", OPEN + "detector.shards: 2 of the profile"),
        (2, True, {"frames_per_position": 3}, "error", "detector.shards: 2 of the profile"),
        (2, False, BY_POSITION | {"frames_per_position": 3}, "error", "with group_by: position none can make its row"),
        (1, False, BY_POSITION, "warning", OPEN + "group_by: position needs frames_per_position"),
        (1, True, BY_POSITION, "error", "group_by: position needs frames_per_position"),
    ],
)
def test_what_an_arming_would_refuse_is_found(
    tmp_path: Path, shards: int, auto: bool, preprocessing: dict[str, Any], level: str, words: str
):
    (found,) = grouping_findings(_profile(tmp_path, shards=shards, auto=auto, **preprocessing))
    assert (found.level, found.about) == (level, "grouping")
    assert words in found.text


@pytest.mark.parametrize(
    ("shards", "preprocessing"),
    [
        (1, {}),
        (2, {}),
        (2, {"frames_per_position": 3, "grouping": "none"}),
        (1, {"frames_per_position": 3}),
        (1, BY_POSITION | {"frames_per_position": 3}),
    ],
)
def test_what_can_be_is_not_found(tmp_path: Path, shards: int, preprocessing: dict[str, Any]):
    assert list(grouping_findings(_profile(tmp_path, shards=shards, auto=True, **preprocessing))) == []


def test_both_are_said_where_both_are_wrong(tmp_path: Path):
    found = list(grouping_findings(_profile(tmp_path, shards=2, auto=False, **BY_POSITION)))
    assert [one.level for one in found] == ["warning", "error"]


def _profile(folder: Path, *, shards: int, auto: bool, **preprocessing: Any) -> Profile:
    document = profile_for(folder).model_dump()
    timed = {"how": "timestamp", "pv": "T:X.RBV", "unit": "um"}
    return Profile.model_validate(
        document
        | {
            "channels": document["channels"] | {"x": timed, "y": timed},
            "detector": document["detector"] | {"shards": shards},
            "service": document["service"] | {"auto": auto},
            "preprocessing": document["preprocessing"] | {"grouping": "sum"} | preprocessing,
        }
    )

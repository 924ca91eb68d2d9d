"""Two services of one prefix that are started at the same moment: one of them has the journals, the other refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_service.errors import ConfigError
from stream_service.service.own_names import only_owner_of


def test_journals_have_one_owner_at_a_time(tmp_path: Path) -> None:
    folder, other = tmp_path / "journals" / "SIM", tmp_path / "journals" / "OTHER"
    said = pytest.raises(ConfigError, match=f"has the journals in {folder}")
    with only_owner_of(folder), only_owner_of(other), said, only_owner_of(folder):
        pytest.fail("two own them")
    with only_owner_of(folder):
        assert not folder.exists()


def test_folder_that_cannot_be_made_is_left_to_the_arming(tmp_path: Path) -> None:
    with only_owner_of(tmp_path / "not mounted" / "journals" / "SIM"):
        assert list(tmp_path.iterdir()) == []

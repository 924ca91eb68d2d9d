"""A row of several exposures is of one place, live and offline, or it says that it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.core.exposure import Flag
from stream_service.errors import ConfigError
from stream_service.run.recorded.ingest import Listener, Outcome, ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.replay import replay
from stream_service.settings.preprocessing import Preprocessing
from stream_service.testing.memory_recording import MemoryRecording, frames_of


class Heard(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def scan(x_um: Any, frames: np.ndarray | None = None) -> MemoryRecording:
    attributes: list[dict[str, Any]] = [{"x": 1e-6 * float(x), "y": 0.0, "energy": 700.0} for x in x_um]
    return MemoryRecording(frames_of(len(attributes)) if frames is None else frames, attributes)


def made(
    tmp_path: Path, recording: MemoryRecording, *, live: bool = False, **options: Any
) -> tuple[dict[str, np.ndarray], Outcome, list[str]]:
    heard = Heard()
    settings = IngestSettings(preprocessing=Preprocessing(**options))
    outcome = ingest(recording, tmp_path / "out.h5", settings, live=live, listener=heard)
    return columns(tmp_path / "out.h5"), outcome, heard.notes


def columns(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[f"/entry/{name}"][()] for name in ("posx_m", "keep", "frames/flags", "data")}


LINE = 0.1 * np.arange(60)
"""A place for each frame."""
VISITS = np.repeat(np.arange(20), 3) * 0.3 + np.random.default_rng(3).normal(0, 0.004, 60)
"""Three frames at each place, read with 4 nm of noise."""


@pytest.mark.parametrize(("grouping", "do"), [("sum", "add up"), ("mean", "average")])
def test_a_number_that_the_positions_contradict_is_refused(tmp_path: Path, grouping: str, do: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, scan(LINE), frames_per_position=3, grouping=grouping)
    assert str(caught.value) == (
        f"scan.h5: the first 36 frames lie at 36 places one after the other; --frames-per-pos 3 would {do} frames up "
        "to 0.2 um apart: give --frames-per-pos 1, or --allow-spread if a row may be a stretch of the path"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_short_scan_is_judged_at_its_end_and_the_right_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"first 24 frames lie at 12 places .* give --frames-per-pos 2"):
        made(tmp_path, scan(np.repeat(np.arange(12), 2)), frames_per_position=4)


def test_a_row_may_be_a_stretch_of_the_path_if_it_is_allowed(tmp_path: Path) -> None:
    found, outcome, notes = made(tmp_path, scan(LINE), frames_per_position=3, allow_spread=True)
    assert found["keep"].all() and not found["frames/flags"].any() and outcome.flagged == ""
    np.testing.assert_allclose(found["posx_m"], LINE.reshape(-1, 3).mean(axis=1) * 1e-6)
    assert any(
        "20 of 20 rows lie up to 0.2 um apart" in note and "used, because that is allowed" in note for note in notes
    )


def test_the_right_number_flags_nothing(tmp_path: Path) -> None:
    found, outcome, notes = made(tmp_path, scan(VISITS), frames_per_position=3)
    assert found["keep"].all() and not found["frames/flags"].any() and outcome.flagged == ""
    assert notes == []


@pytest.mark.parametrize("first", [False, True])
def test_rows_of_two_places_are_flagged_and_not_used(tmp_path: Path, first: bool) -> None:
    """One readback came too late; also in the first group, which waits for the second to be judged."""
    x_um = VISITS.copy()
    x_um[2 if first else 29] += 0.3
    found, outcome, notes = made(tmp_path, scan(x_um), frames_per_position=3)
    assert (
        np.flatnonzero(found["frames/flags"]).tolist()
        == np.flatnonzero(found["keep"] == 0).tolist()
        == [0 if first else 9]
    )
    assert set(found["frames/flags"]) == {0, Flag.SPREAD}
    assert outcome.flagged == "1 of 20 rows is flagged (spread 1): stored, not used"
    assert any(
        "of 1 of 20 rows lie up to 0.3" in note and "is 3 the number of frames at a position?" in note for note in notes
    )


def test_the_only_row_of_a_scan_is_flagged_if_its_exposures_lie_apart(tmp_path: Path) -> None:
    found, *_ = made(tmp_path, scan(LINE), frames_per_position=60)
    assert found["frames/flags"].tolist() == [Flag.SPREAD]


@pytest.mark.parametrize(("grouping", "chosen"), [("first", 0), ("best", 1)])
def test_row_that_is_one_of_its_exposures_is_where_that_one_was_taken(
    tmp_path: Path, grouping: str, chosen: int
) -> None:
    frames = np.full((60, 6, 8), 10, np.uint16)
    frames[1::3] = 20
    recording = scan(LINE, frames)
    recording._attributes[4]["x"] = np.nan  # of the exposure that `best` takes in the second group
    found, *_ = made(tmp_path, recording, frames_per_position=3, grouping=grouping)
    expected = LINE[chosen::3] * 1e-6
    is_known = np.arange(20) != (1 if grouping == "best" else -1)
    np.testing.assert_allclose(found["posx_m"][is_known], expected[is_known])
    assert (found["keep"] == is_known).all() and ((found["frames/flags"] == 0) == is_known).all()


def test_growing_recording_is_flagged_and_not_refused(tmp_path: Path) -> None:
    found, *_ = made(tmp_path, scan(LINE), live=True, frames_per_position=3)
    assert (found["frames/flags"] == Flag.SPREAD).all() and not found["keep"].any()


def test_live_run_flags_what_an_ingest_flags(tmp_path: Path) -> None:
    settings = IngestSettings(preprocessing=Preprocessing(frames_per_position=3))
    x_um = VISITS.copy()
    x_um[[2, 29, 40]] += 0.3
    status = replay(scan(x_um), tmp_path, settings, rate_hz=2000.0)
    offline, *_ = made(tmp_path, scan(x_um), frames_per_position=3)
    live = columns(tmp_path / "scan_std.h5")
    for name, values in offline.items():
        np.testing.assert_array_equal(live[name], values, err_msg=name)
    assert live["frames/flags"].astype(bool).sum() == 3 and status.account.is_complete
    assert "3 of 20 rows are flagged (spread 3): stored, not used; the exposures of 3 of 20 rows lie up to" in (
        status.message
    )

"""A request that arms can be written: whatever its file would stumble over is refused when the run is armed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_run import Bench, frame, frames
from without_privileges import permissions_hold

from stream_service.core.run import RunState
from stream_service.errors import ConfigError, PtychostreamError, SourceError, WriteError
from stream_service.run.live import run_trial
from stream_service.service.requests import parse_request


def arm(folder: Path, **request: Any) -> str:
    """Reason why a request is not armed; empty if it is, and then its first frames make a complete run."""
    text = json.dumps({"scan_id": "scan", "n_positions": 2, **request})
    profile = Bench(folder).profile
    try:
        parsed = parse_request(text, profile)
        b = Bench(folder, latest_before=frame(1), **parsed.model_dump(exclude={"scan_id"}))
        b.detector.shown = 1
        run = b.play(frames([2, 3]))
    except PtychostreamError as error:
        assert not list(folder.rglob("*_std.h5")), "nothing is left behind"
        return str(error)
    finally:
        assert not list(folder.rglob(".ptychostream-try-*"))
    assert run.state is RunState.COMPLETE, run.message
    return ""


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_metadata_that_json_cannot_hold_is_refused(tmp_path, value):
    sentence = arm(tmp_path, metadata={"T": value})
    assert "metadata" in sentence and f"'T' is {value}, which the file's JSON cannot hold" in sentence


@pytest.mark.parametrize(
    "request_part",
    [
        {"metadata": {"T": 1e308, "big": 10**30, "none": None, "text": "Ü\u0000\u2028"}},
        {"metadata": {f"key {n}": "x" * 1000 for n in range(2000)}},
        {"sample": "Müller-Probe ☂", "path": "2026-11/Probe ü"},
        {"sample": "a\u0000b"},
        {"sample": "x" * 100_000},
        {"raw_file": "/data/\u0000"},
        {"path": "a/" * 40},
        {"path": "x" * 300},
        {"path": "ü" * 200},
        {"planned_x_m": [1e300, -1e300], "planned_y_m": [5e-324, 0.0]},
    ],
)
def test_what_is_armed_can_be_written(tmp_path, request_part):
    """Refused in a sentence or recorded to the end; never armed and then failed."""
    sentence = arm(tmp_path, **request_part)
    assert sentence == "" or len(sentence) > 20


def test_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "notes").write_text("a file")
    assert "cannot make the folder" in arm(tmp_path, path="notes/deeper")


def test_folder_without_permission_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    with permissions_hold():
        assert "permission" in arm(tmp_path, path="locked")


def test_run_that_does_not_fit_on_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(run_trial, "LEAST_FREE_BYTES", 1 << 62)
    with pytest.raises(WriteError, match="GB free, the run needs"):
        Bench(tmp_path, n_positions=2).run.arm()


def test_file_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
    def full_disk(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    b = Bench(tmp_path, n_positions=2)
    monkeypatch.setattr(run_trial, "open_run_file", full_disk)
    with pytest.raises(WriteError, match="No space left on device"):
        b.run.arm()
    assert b.sources.queue.is_closed


class MuteExposure:
    is_acquiring = answers = True
    is_closed = False
    shown = 0

    def counter(self) -> int:
        return self.shown

    def silent(self) -> list[str]:
        return []

    @property
    def exposure_s(self) -> float:
        raise SourceError("SIM:Exposure is 'fast', not a number: is it the right PV?")

    def close(self) -> None:
        self.is_closed = True


def test_exposure_time_that_is_none_is_refused(tmp_path):
    b = Bench(tmp_path, n_positions=2)
    b.sources.detector = MuteExposure()
    with pytest.raises(SourceError, match="SIM:Exposure is 'fast'"):
        b.run.arm()


def test_exposure_time_that_cannot_be_read_at_the_first_frame_is_that_of_arming(tmp_path):
    b = Bench(tmp_path, n_positions=2)

    def gone() -> None:
        b.sources.detector = b.detector = mute

    mute = MuteExposure()
    run = b.play(gone, frames([1, 2]))
    assert run.state is RunState.COMPLETE
    with b.file() as file:
        assert file["/entry/exposure_s"][()] == 0.001


def test_settings_that_do_not_fit_the_last_frame_are_refused(tmp_path):
    b = Bench(tmp_path, latest_before=frame(0), n_positions=2)
    preprocessing = b.profile.preprocessing.model_copy(update={"roi": (100, 100)})
    with pytest.raises(ConfigError, match="frames of 6 rows and 8 columns"):
        b.prepare(b.profile.model_copy(update={"preprocessing": preprocessing}))
        b.run.arm()

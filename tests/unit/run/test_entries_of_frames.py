"""A log with one entry for each frame, stamped as the frame is, does not tell how the axes came to where they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.core.exposure import Flag
from stream_service.errors import SourceError
from stream_service.run.recorded.correction_options import CorrectionOptions
from stream_service.run.recorded.ingest import Listener, ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.replay import replay
from stream_service.settings.recorded_choices import Match
from stream_service.sources.recording import Facts
from stream_service.testing.memory_recording import START_NS, MemoryRecording, frames_of

N = 12
ORDER: dict[str, Any] = {"match": Match.ORDER}


class Heard(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def recording(period_s: float, exposure_s: float, n: int = N) -> MemoryRecording:
    """Stamped at the end of each exposure."""
    stamps_ns = [START_NS + round(i * period_s * 1e9) for i in range(n)]
    facts = Facts(700.0, 0.1, 1e-5, exposure_s)
    return MemoryRecording(frames_of(n), [{}] * n, stamps_ns=stamps_ns, rules=(), is_on_sample=False, facts=facts)


def log(path: Path, stamps_s: Any, x_um: Any) -> Path:
    """CSV, or the histories of an HDF5 file."""
    stamps_ns = START_NS + np.round(np.asarray(stamps_s) * 1e9).astype(np.int64)
    if path.suffix == ".csv":
        lines = [f"{stamp},{x},0" for stamp, x in zip(stamps_ns, x_um, strict=True)]
        path.write_text("\n".join(["timestamp_ns,posx_um,posy_um", *lines]))
        return path
    with h5py.File(path, "w") as file:
        for name, values in (("x", x_um), ("y", np.zeros(len(stamps_ns)))):
            group = file.create_group(f"/entry/readbacks/{name}")
            group["value"], group["timestamp_ns"] = np.array(values, float), stamps_ns
            group["value"].attrs["units"] = "um"
    return path


def made(tmp_path: Path, recorded: Any, path: Path, **options: Any) -> tuple[Any, Any, list[str]]:
    heard, output = Heard(), tmp_path / "out.h5"
    ingest(recorded, output, CorrectionOptions(readbacks=path, **options).settings(), listener=heard)
    with h5py.File(output) as file:
        return file["/entry/posx_m"][()] * 1e6, file["/entry/frames/flags"][()], heard.notes


KINDS = pytest.mark.parametrize("kind", ["l.csv", "r.h5"])
PACES = pytest.mark.parametrize(("period_s", "exposure_s"), [(1.0, 0.1), (0.1, 0.05), (4.0, 3.0)])


@KINDS
@PACES
@pytest.mark.parametrize("more", [{}, {"readbacks_on_change": True}, {"profile": "sim"}])
def test_entry_of_each_frame_gives_no_position_without_a_flag(
    tmp_path: Path, kind: str, period_s: float, exposure_s: float, more: dict[str, Any]
) -> None:
    """The stage stops at each point: between two entries it has moved and rested, and a line would be wrong."""
    path = log(tmp_path / kind, np.arange(N) * period_s, np.arange(N))
    x_um, flags, notes = made(tmp_path, recording(period_s, exposure_s), path, **more)
    wrong = np.abs(x_um - np.arange(N)) > 1e-3
    assert flags[wrong].all(), "a position that may be wrong has a flag"
    assert (flags[1:] & Flag.UNCERTAIN).all()
    (said,) = [note for note in notes if "stamped as the frames are" in note]
    assert said.endswith("say --match order") and "on-change" not in said


@KINDS
@PACES
def test_what_the_note_advises_helps(tmp_path: Path, kind: str, period_s: float, exposure_s: float) -> None:
    path = log(tmp_path / kind, np.arange(N) * period_s, np.arange(N))
    x_um, flags, notes = made(tmp_path, recording(period_s, exposure_s), path, **ORDER)
    np.testing.assert_allclose(x_um, np.arange(N), atol=1e-6)
    assert not flags.any()
    assert "rows of the log and frames are matched by order: the row with row 1 is the first frame's" in notes


def test_replay_takes_entries_by_order_as_ingest_does(tmp_path: Path) -> None:
    path = log(tmp_path / "l.csv", np.arange(N), np.arange(N))
    replay(recording(1.0, 0.1), tmp_path, CorrectionOptions(readbacks=path, **ORDER).settings(), rate_hz=1000)
    with h5py.File(tmp_path / "scan_std.h5") as file:
        np.testing.assert_allclose(file["/entry/posx_m"][()] * 1e6, np.arange(N), atol=1e-6)
        assert not file["/entry/frames/flags"][()].any()


def test_frame_that_was_lost_is_told_by_its_entry_that_is_left(tmp_path: Path) -> None:
    path = log(tmp_path / "l.csv", np.arange(N + 1), np.arange(N + 1))
    _, flags, notes = made(tmp_path, recording(1.0, 0.1), path)
    assert (flags[1:] & Flag.UNCERTAIN).all()
    assert any(note.endswith("frame_index of that frame: there are 13 entries") for note in notes)
    (tmp_path / "out.h5").unlink()
    with pytest.raises(SourceError, match="matched by order: there are 13 rows for 12 frames"):
        made(tmp_path, recording(1.0, 0.1), path, **ORDER)


def test_entries_out_of_step_with_the_frames_are_refused(tmp_path: Path) -> None:
    """As many entries as frames, but one frame and one entry are missing at different places."""
    stamps_s = [i + 0.02 for i in range(N + 1) if i != 8]
    with pytest.raises(SourceError, match=r"not in step: row 9 is stamped 1.020 s after .* others 0.020 s"):
        made(tmp_path, recording(1.0, 0.1), log(tmp_path / "l.csv", stamps_s, stamps_s), **ORDER)


@pytest.mark.parametrize("every_s", [0.01, 0.1])
def test_log_that_was_sampled_by_itself_is_still_interpolated(tmp_path: Path, every_s: float) -> None:
    """Some of its entries have the stamps of frames, most have not, or lie where no frame is."""
    stamps_s = np.arange(-2, 4, every_s)
    x_um, flags, _ = made(tmp_path, recording(0.1, 0.05), log(tmp_path / "l.csv", stamps_s, 10 * stamps_s))
    np.testing.assert_allclose(x_um, np.arange(N) - 0.25, atol=1e-6)
    assert not flags.any()


def test_updates_that_are_no_rows_are_paired_by_time_whatever_match_says(tmp_path: Path) -> None:
    path = log(tmp_path / "r.h5", np.arange(-2, 4, 0.01), np.zeros(600))
    with h5py.File(path, "r+") as file:
        for name in ("value", "timestamp_ns"):
            kept = file[f"/entry/readbacks/y/{name}"][:1]
            del file[f"/entry/readbacks/y/{name}"]
            file[f"/entry/readbacks/y/{name}"] = kept
        file["/entry/readbacks/y/value"].attrs["units"] = "um"
    _, flags, notes = made(tmp_path, recording(0.1, 0.05), path, **ORDER)
    assert not flags.any() and any("is paired by time, and not by --match order" in note for note in notes)


def test_settings_without_readbacks_are_as_before() -> None:
    assert CorrectionOptions(**ORDER).settings().readbacks is IngestSettings().readbacks

"""The truth file says frame by frame what was sent, whole or not at all."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

from iocsim.physics.frame_faults import Fault, FaultKind
from iocsim.truth import FrameStatus, Truth

FRAME = np.arange(12, dtype=np.uint16).reshape(3, 4)
DUMP = Fault(FaultKind.BEAM_DUMP, -0.62, (7, 2))
T0_NS = 1_795_219_200_123_456_789  # a double cannot hold this


def filled():
    truth = Truth({"mask": np.zeros((3, 4), np.uint8)}, {"seed": 7})
    truth.record(1, 0, 1e-6, -2e-6, T0_NS, T0_NS + 20_000_001, 710.0, 0.02, FrameStatus.SENT, FRAME)
    truth.record(2, 0, 1.1e-6, -2e-6, T0_NS + 1, T0_NS + 2, 710.0, 0.02, FrameStatus.DROPPED, fault=DUMP)
    truth.record(0, 1, 1.2e-6, -2e-6, T0_NS + 3, T0_NS + 4, 710.0, 0.02, FrameStatus.DUPLICATED)
    return truth


def test_saved_record_comes_back_exactly_and_without_pickles(tmp_path):
    filled().save(tmp_path / "scan_truth.npz")
    with np.load(tmp_path / "scan_truth.npz", allow_pickle=False) as truth:
        assert truth["unique_id"].tolist() == [1, 2, 0]
        assert truth["epoch"].tolist() == [0, 0, 1]
        assert truth["x_m"].tolist() == [1e-6, 1.1e-6, 1.2e-6]
        assert truth["start_ns"].tolist() == [T0_NS, T0_NS + 1, T0_NS + 3]
        assert truth["end_ns"][0] == T0_NS + 20_000_001
        assert truth["status"].tolist() == ["sent", "dropped", "duplicated"]
        assert truth["fault"].tolist() == ["", "beam_dump", ""]
        assert np.array_equal(truth["magnitude"], [np.nan, -0.62, np.nan], equal_nan=True)
        assert truth["crc32"].tolist() == [zlib.crc32(FRAME.tobytes()), -1, -1]
        assert json.loads(str(truth["facts"])) == {"seed": 7}
        assert truth["mask"].shape == (3, 4)
    assert [file.name for file in tmp_path.iterdir()] == ["scan_truth.npz"]


def test_a_record_without_frames_can_be_saved(tmp_path):
    Truth({}, {}).save(tmp_path / "empty.npz")
    with np.load(tmp_path / "empty.npz") as truth:
        assert truth["unique_id"].shape == (0,)
        assert truth["x_m"].dtype == np.float64


def test_a_failed_save_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    truth, path = filled(), tmp_path / "truth.npz"
    truth.save(path)
    before = path.read_bytes()

    def disk_full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", disk_full)
    with pytest.raises(OSError, match="No space"):
        truth.save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_clear_forgets_frames_and_keeps_the_beamline(tmp_path):
    truth = filled()
    assert len(truth) == 3
    truth.clear()
    assert len(truth) == 0
    truth.save(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as saved:
        assert saved["mask"].shape == (3, 4)


def test_an_array_named_like_a_column_is_refused():
    with pytest.raises(ValueError, match="status"):
        Truth({"status": FRAME}, {})


def test_checksum_of_a_reversed_view_is_that_of_its_bytes_in_c_order(tmp_path):
    truth = Truth({}, {})
    truth.record(1, 0, 0.0, 0.0, T0_NS, T0_NS, 710.0, 0.02, FrameStatus.SENT, FRAME[::-1, ::-1])
    truth.save(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as saved:
        assert saved["crc32"][0] == zlib.crc32(FRAME[::-1, ::-1].tobytes())

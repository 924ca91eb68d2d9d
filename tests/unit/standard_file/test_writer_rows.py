"""Rows go in as they are, in order, whatever the rhythm of the flushes."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_service.core.row import FEATURES_DTYPE, MAX_ROWS, RowBlock
from stream_service.standard_file import StandardFile
from stream_service.standard_file.schema.spec import fixed_string
from stream_service.testing.example_file import (
    START_NS,
    append_example_rows,
    example_header,
    example_ledger,
    example_pixels,
    example_row,
    write_example,
)

LIVE_KEYS = ("/entry/live/key_data", "/entry/live/key_x", "/entry/live/key_y")


def contents(path):
    """Every dataset of a closed file but the heartbeat, which counts flushes."""
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, member: found.update({name: member[()]}) if hasattr(member, "dtype") else None)
    del found["entry/run/heartbeat"]
    return found


def assert_rows_are_those_of_the_example(path, n_rows, k=1):
    with h5py.File(path, "r") as file:
        assert file["/entry/data"].shape == (n_rows, 6, 8)
        for index in range(n_rows):
            row = example_row(index, k)
            assert np.array_equal(file["/entry/data"][index], example_pixels(index))
            assert tuple(file["/entry/pos"][index]) == (row["x_m"], row["y_m"])
            assert (file["/entry/posx_m"][index], file["/entry/posy_m"][index]) == (row["x_m"], row["y_m"])
            for name in ("unique_id", "epoch", "timestamp_ns", "status"):
                assert np.array_equal(file[f"/entry/frames/{name}"][index], row[name])
            for name in ("n_frames", "energy_eV", "exposure_s", "flags", "replaces"):
                assert file[f"/entry/frames/{name}"][index] == row[name]
            for name in FEATURES_DTYPE.names or ():
                np.testing.assert_array_equal(file[f"/entry/qc/features/{name}"][index], row["features"][name])
            assert file["/entry/keep"][index] == 1


@pytest.mark.further(but=1)
@pytest.mark.parametrize("k", [1, 3])
def test_every_row_comes_back_as_it_was_given(tmp_path, k):
    write_example(tmp_path / "a.h5", 2 * MAX_ROWS + 3, frames_per_row=k)
    assert_rows_are_those_of_the_example(tmp_path / "a.h5", 2 * MAX_ROWS + 3, k)


@settings(max_examples=settings.default.max_examples // 20)  # each is two files
@given(bursts=st.lists(st.integers(0, 40), max_size=8))
def test_rhythm_of_flushes_does_not_change_the_file(tmp_path_factory, bursts):
    folder = tmp_path_factory.mktemp("rhythm")
    n_rows = sum(bursts)
    with StandardFile.create(folder / "bursts.h5", example_header(300)) as file:
        start = 0
        for burst in bursts:
            append_example_rows(file, start, start + burst)
            start += burst
            assert file.n_rows == start - burst, "nothing is visible before its flush"
            assert file.flush() == start == file.n_rows
    with StandardFile.create(folder / "once.h5", example_header(300), swmr=False) as file:
        append_example_rows(file, 0, n_rows)
    bursts_file, once_file = contents(folder / "bursts.h5"), contents(folder / "once.h5")
    assert bursts_file.keys() == once_file.keys()
    for name, value in bursts_file.items():
        assert np.array_equal(value, once_file[name], equal_nan=value.dtype.kind == "f"), name


def test_rows_of_a_block_lie_side_by_side():
    """The reducer writes into the block and nothing copies it: frames of one block are neighbours in memory."""
    block = RowBlock((6, 8), 1)
    _, first = block.next_rows()
    block.append()
    _, next_ones = block.next_rows(3)
    assert first.base is next_ones.base
    assert first.flags.c_contiguous and next_ones.flags.c_contiguous
    assert next_ones.ctypes.data - first.ctypes.data == first.nbytes


def test_a_row_that_is_not_filled_in_says_so():
    (row,), _ = RowBlock((1, 1), 2).next_rows()
    assert row["unique_id"].tolist() == row["epoch"].tolist() == [-1, -1], "0 is a valid id"
    assert (row["replaces"], row["keep"]) == (-1, 0)
    assert np.isnan([row["x_m"], row["energy_eV"], row["features"]["intensity"]]).all()


def test_buffer_is_bounded_in_bytes():
    assert RowBlock((2048, 2048), 1).capacity == 2
    assert RowBlock((1024, 1024), 1).capacity == 8
    assert RowBlock((16, 16), 1).capacity == MAX_ROWS


def test_keys_are_row_plus_one_without_a_hole(tmp_path):
    with StandardFile.create(tmp_path / "a.h5", example_header(10)) as file:
        append_example_rows(file, 0, 7)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        for path in LIVE_KEYS:
            assert file[path][()].tolist() == [1, 2, 3, 4, 5, 6, 7, 0, 0, 0]


def test_rows_beyond_the_keys_are_kept(tmp_path):
    with StandardFile.create(tmp_path / "a.h5", example_header(4)) as file:
        append_example_rows(file, 0, 3)
        file.flush()
        append_example_rows(file, 3, 9)
        file.flush()
        append_example_rows(file, 9, 10)
    assert_rows_are_those_of_the_example(tmp_path / "a.h5", 10)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file[LIVE_KEYS[0]][()].tolist() == [1, 2, 3, 4]


def test_unused_slots_of_a_row_are_marked(tmp_path):
    with StandardFile.create(tmp_path / "a.h5", example_header(frames_per_row=2)) as file:
        with pytest.raises(ValueError, match="has 2 frames, not 1"):
            append_example_rows(file, 0, 1)
        append_example_rows(file, 0, 1, 2)
    assert_rows_are_those_of_the_example(tmp_path / "a.h5", 1, 2)


def test_readbacks_are_kept_as_they_came(tmp_path):
    with StandardFile.create(tmp_path / "a.h5", example_header()) as file:
        file.add_readback("ring_current", 199.5, 10)
        file.flush()
        file.add_readback("ring_current", 200.5, 20)
        file.add_readback("ring_current", float("nan"), 30)
        with pytest.raises(KeyError):
            file.add_readback("nobody", 1.0, 1)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        channel = file["/entry/readbacks/ring_current"]
        assert np.array_equal(channel["value"][()], [199.5, 200.5, np.nan], equal_nan=True)
        assert channel["timestamp_ns"][()].tolist() == [10, 20, 30]
        assert channel["value"].attrs["units"] == "mA"
        assert file["/entry/readbacks/x/value"].shape == (0,)


def test_ledger_is_rewritten_as_a_whole(tmp_path):
    with StandardFile.create(tmp_path / "a.h5", example_header()) as file:
        for n_frames in (3, 5000, 4):
            file.write_ledger(example_ledger(n_frames))
            file.flush()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        ledger = file["/entry/ledger"]
        assert ledger["expected"][()] == 4
        assert ledger["unique_id"][:6].tolist() == [1, 2, 3, 4, -1, -1], "what is beyond is unused"
        assert ledger["status"][:6].tolist() == [1, 1, 1, 1, 0, 0]


def test_state_and_end_are_rewritten_in_place(tmp_path):
    with StandardFile.create(tmp_path / "a.h5", example_header()) as file:
        file.set_state("RECEIVING")
        file.set_state("ABORTED", "stopped: " + "é" * 600, START_NS + 1_500_000_000)
        with pytest.raises(ValueError, match="'DONE' is none of"):
            file.set_state("DONE")
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["/entry/run/state"][()] == b"ABORTED"
        reason = file["/entry/run/end_reason"].asstr()[()]
        assert reason.startswith("stopped: ééé"), "too long a reason is cut at a character"
        assert file["/entry/run/end_timestamp_ns"][()] == START_NS + 1_500_000_000
        assert file["/entry_1/start_time"][()] == b"2025-11-21T00:00:00.000000+00:00"
        assert file["/entry_1/end_time"][()] == b"2025-11-21T00:00:01.500000+00:00"


def test_scalars_are_corrected_everywhere(tmp_path):
    header = example_header(energy_eV=float("nan"), exposure_s=float("nan"))
    with StandardFile.create(tmp_path / "a.h5", header) as file:
        file.set_scalars(energy_eV=800.0)
        file.set_scalars(exposure_s=0.25)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["/entry/energy_eV"][()] == 800.0
        assert file["/entry/exposure_s"][()] == 0.25
        instrument = file["/entry_1/instrument_1"]
        assert instrument["beam_1/incident_beam_energy"][()] == 800.0
        assert instrument["source_1/energy"][()] == pytest.approx(800.0 * 1.602176634e-19)


def test_masks_are_replaced_together(tmp_path):
    mask = np.zeros((6, 8), np.uint8)
    mask[2, 3] = 1
    with StandardFile.create(tmp_path / "a.h5", example_header()) as file:
        file.write_mask(mask, mask.astype(np.uint32) * 8)
        with pytest.raises(ValueError, match="masks have shape"):
            file.write_mask(mask[:2], mask.astype(np.uint32))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert np.array_equal(file["/entry/mask"][()], mask)
        assert file["/entry_1/instrument_1/detector_1/detectorSpecific/pixel_mask"][2, 3] == 8


def test_offline_file_has_the_same_layout(tmp_path):
    write_example(tmp_path / "live.h5", 20)
    write_example(tmp_path / "offline.h5", 20, swmr=False)
    live, offline = contents(tmp_path / "live.h5"), contents(tmp_path / "offline.h5")
    assert live.keys() == offline.keys()


def test_long_text_is_cut_between_characters():
    assert fixed_string("aé", 2).item() == b"a"
    assert fixed_string("aé", 3).item() == "aé".encode()
    assert fixed_string("").dtype.itemsize == 1

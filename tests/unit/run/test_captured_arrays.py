"""Runs whose positions are arrays that hardware captured: live from a PV, and recorded in a file as PandA's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import corpus
import h5py
import numpy as np
import pytest
from scripted_arrays import DATASETS, by_index, captured, tell
from scripted_run import Bench, frame, frames, profile_for

from stream_service.core.exposure import Flag
from stream_service.core.pairing.readback import Entries
from stream_service.errors import SourceError
from stream_service.run.live.arming_doubts import arming_doubts
from stream_service.run.live.live_settings import live_rules, with_arrays_file
from stream_service.run.recorded.correction_options import CorrectionOptions
from stream_service.run.recorded.ingest import ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.settings.arrays_file import ArraysFileSettings
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.sources.tables.captured_arrays import read_arrays
from stream_service.testing.memory_recording import MemoryRecording, frames_of


def panda_file(path: Path, n: int) -> Path:
    """As PandABlocks-client writes it: datasets at the root that can grow, float64, and times as attributes."""
    with h5py.File(path, "w", libver="latest") as file:
        for name in (*DATASETS.values(), "/PCAP.TS_START.Value"):
            file.create_dataset(name, data=captured(n), maxshape=(None,), chunks=(8,))
        file.attrs["arm_time"] = file.attrs["start_time"] = "2026-11-30T00:00:00Z"
    return path


def rows_of(path: Path) -> list[tuple[int, float, int, int]]:
    """uniqueId, position of the stage in micrometres, flags and keep of each row."""
    with h5py.File(path) as file:
        ids, x_m = file["/entry/frames/unique_id"][:, 0], file["/entry/posx_m"][()]
        columns = ids, np.round(-1e6 * x_m, 6), file["/entry/frames/flags"][()], file["/entry/keep"][()]
        return sorted(zip(*(column.tolist() for column in columns), strict=True))


def test_growing_array_gives_each_frame_its_entry_though_one_is_lost(tmp_path: Path) -> None:
    bench = Bench(tmp_path, at_rest={"ring_current": 200.0}, n_positions=5)
    bench.prepare(by_index(tmp_path))
    old = tell(bench, 9, is_from_before=True)
    bench.play(old, frames([1, 2]), tell(bench, 1), frames([4, 5]), tell(bench, 6), bench.exposed(5), bench.stop)
    path = bench.run.setup.path
    assert rows_of(path) == [(1, 0.0, 0, 1), (2, 1.0, 0, 1), (4, 3.0, 0, 1), (5, 4.0, 0, 1)]
    assert "the array of x has 6 entries: 4 belong to frames, 2 to none that came" in bench.run.message
    with h5py.File(path) as file:
        assert "x" not in file["/entry/readbacks"] and "ring_current" in file["/entry/readbacks"]


def test_frames_without_an_entry_are_kept_flagged_and_not_used(tmp_path: Path) -> None:
    bench = Bench(tmp_path, at_rest={"ring_current": 200.0}, n_positions=3)
    bench.prepare(by_index(tmp_path))
    bench.play(frames([1, 2, 3]), tell(bench, 2), *[bench.waits(2.0)] * 4, bench.stop)
    *good, (unique_id, x_um, flags, keep) = rows_of(bench.run.setup.path)
    assert good == [(1, 0.0, 0, 1), (2, 1.0, 0, 1)]
    assert (unique_id, np.isnan(x_um), flags, keep) == (3, True, Flag.MISSING, 0)


@pytest.mark.parametrize(
    ("before", "after", "is_known"),
    [
        ([1, 2, 3], [1, 2, 3], True),
        ([1, 2, 3], [2, 3], True),  # frame 1 is lost, and its place is left
        ([1, 2], [1, 4], False),  # as one wrong id, and a loss
        ([1, 2], [2, 3], False),  # 3 is lost, too, and no place is left
        ([1, 2, 3], [0, 1, 2], True),
        ([1, 2, 3], [2, 3, 4], False),  # someone has set the counter
    ],
)
def test_entries_of_frames_after_a_reset_are_theirs_only_if_all_add_up(
    tmp_path: Path, before: list[int], after: list[int], is_known: bool
) -> None:
    bench = Bench(tmp_path, at_rest={"ring_current": 200.0}, n_positions=6)
    bench.prepare(by_index(tmp_path))
    new = iter([[frame(n, seconds=corpus.STAMP_S + 1)] for n in after])
    bench.play(frames(before), tell(bench, 6), new, bench.exposed(after[-1]), bench.settles(), bench.stop)
    with bench.file() as file:
        frames_ns, flags, keep = (
            file[name][()] for name in ("/entry/frames/timestamp_ns", "/entry/frames/flags", "/entry/keep")
        )
    was_reset = frames_ns[:, 0] >= (corpus.STAMP_S + 1) * 10**9
    assert np.count_nonzero(~was_reset) == len(before) and was_reset.any()
    assert flags.tolist() == np.where(was_reset & (not is_known), int(Flag.UNCERTAIN), 0).tolist()
    assert keep.tolist() == (~was_reset | is_known).tolist()
    assert ("were lost there is not known" in bench.run.message) is not is_known


@pytest.mark.parametrize(("n", "skip_first"), [(6, 0), (7, 1), (4, 0)])
def test_recorded_frames_have_the_entries_of_the_file_beside_them(tmp_path: Path, n: int, skip_first: int) -> None:
    recording = MemoryRecording(frames_of(5), [{"energy": 700.0}] * 5, rules=(), ids=[1, 2, 4, 5, 6])
    profile = by_index(tmp_path, skip_first=skip_first)
    arrays = read_arrays(panda_file(tmp_path / "panda.h5", n), DATASETS)
    ingest(recording, tmp_path / "out.h5", IngestSettings(profile=profile, arrays=arrays, first_unique_id=1))
    known = [(i, float(i - 1 + skip_first), 0, 1) for i in (1, 2, 4, 5, 6) if i - 1 + skip_first < n]
    found = rows_of(tmp_path / "out.h5")
    assert found[: len(known)] == known
    assert [row[2:] for row in found[len(known) :]] == [(Flag.MISSING, 0)] * (5 - len(known))


def test_file_without_the_dataset_is_refused_with_what_there_is(tmp_path: Path) -> None:
    path = panda_file(tmp_path / "panda.h5", 3)
    with pytest.raises(SourceError, match=r"has no dataset /INENC9, .*there: INENC1.VAL.Mean, INENC2.VAL.Mean, PCAP"):
        read_arrays(path, {"x": "/INENC9"})
    with h5py.File(path, "r+") as file:
        file["flat"] = np.zeros((3, 2))
    with pytest.raises(SourceError, match=r"/flat in .* is \(3, 2\) float64, not one number for each frame"):
        read_arrays(path, {"x": "/flat"})
    (tmp_path / "none.h5").write_text("no")
    with pytest.raises(SourceError):
        read_arrays(tmp_path / "none.h5", DATASETS)


def test_option_without_a_profile_that_names_datasets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="--arrays needs a --profile that says 'how: index' and 'dataset'"):
        CorrectionOptions(arrays=panda_file(tmp_path / "panda.h5", 3)).settings()


def test_file_of_arrays_that_nobody_names_is_told_when_a_run_is_armed(tmp_path: Path) -> None:
    doubts: Any = partial(arming_doubts, frame=None, detector=None, latest={})
    told = list(doubts(by_index(tmp_path, pv="")))
    assert len(told) == 2 and all("every row of a live run will be flagged missing" in sentence for sentence in told)
    request = ScanRequest(scan_id="scan7", path="june", arrays_file="/panda/{own}.h5")
    named = with_arrays_file(by_index(tmp_path, pv=""), request)
    assert (named.arrays_file.path, named.datasets_of_file) == ("/panda/{own}.h5", DATASETS)
    for profile in (by_index(tmp_path), named):
        assert [sentence for sentence in doubts(profile) if "index" in sentence] == []


def test_file_of_arrays_is_that_of_the_scan_where_this_computer_has_it(tmp_path: Path) -> None:
    settings = ArraysFileSettings(path="/panda/{path}/{scan_id}.h5", path_map={"/panda": "/mnt/panda"})
    profile = by_index(tmp_path, pv="").model_copy(update={"arrays_file": settings})
    found = with_arrays_file(profile, ScanRequest(scan_id="scan7", path="june")).arrays_file
    assert found.local_path(found.path) == Path("/mnt/panda/june/scan7.h5")
    assert live_rules(profile).entries_timeout_s == settings.timeout_s


def test_energy_of_each_frame_is_its_entry(tmp_path: Path) -> None:
    """Two of three entries come: the position of the third row is right, and its energy is not known."""
    bench = Bench(tmp_path, at_rest={"x": 3.0, "y": -4.0, "x_moving": 0.0, "y_moving": 0.0}, n_positions=3)
    profile = profile_for(tmp_path).model_dump()
    profile["channels"]["energy"] = {"how": "index", "pv": "PANDA:E", "unit": "keV"}
    del profile["channels"]["ring_current"]
    bench.prepare(Profile.model_validate(profile))

    def tell() -> None:
        bench.sources.readbacks.events.append(Entries("energy", np.array([0.7, 0.71])))

    run = bench.play(frames([1, 2, 3]), tell, *[bench.waits(2.0)] * 4, bench.stop)
    with bench.file() as file:
        order = np.argsort(file["/entry/frames/unique_id"][:, 0])
        energies, flags, keep = (
            file[name][()][order] for name in ("/entry/frames/energy_eV", "/entry/frames/flags", "/entry/keep")
        )
    np.testing.assert_allclose(energies, [700.0, 710.0, np.nan], rtol=1e-12)
    assert (flags.tolist(), keep.tolist()) == ([0, 0, Flag.MISSING], [1, 1, 1])
    assert (
        "the array of energy has 2 entries: 2 belong to frames, 0 to none that came, and 1 frame has none"
        in run.message
    )

"""Rows are rejected for ring current, shutter and energy while they come, and afterwards for the same."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from corpus import STAMP_S, Message
from evaluated_scans import evaluated
from scripted_run import AT_REST, Bench, profile_for
from scripted_run import frame as plain_frame

from stream_service.core.pairing.readback import Readback
from stream_service.core.reason import Reason
from stream_service.core.run import RunState
from stream_service.core.stream import Gone
from stream_service.quality_report.evaluated_file import EvaluatedFile
from stream_service.quality_report.view import View
from stream_service.settings.channel_settings import ChannelSettings
from stream_service.settings.quality import QualitySettings
from stream_service.sources.hdf5.recording import Hdf5Paths, Hdf5Recording
from stream_service.standard_file import validate_file
from stream_service.testing.scripted_frames import Step

N = 100
DUMPED, SHUT, OFF_ENERGY = (20, 21, 22), (40, 41), 60
SHUTTER = ChannelSettings.model_validate({"how": "timestamp", "pv": "SIM:Shutter", "unit": ""})


def frame(row: int) -> list[Any]:
    """Of one millisecond, which ends with the millisecond `row + 1` of the scan."""
    message = Message(unique_id=row + 1, nanoseconds=(row + 1) * 1_000_000)
    light = 0.001 if row in SHUT else 0.6 if row in DUMPED else 1.0
    pixels = np.random.default_rng(row).poisson(light * np.full((18, 20), 300.0)).astype(np.uint16)
    message.pixels, message.sizes = pixels.reshape(-1), [20, 18]
    message.attributes = [("energy", 702.0 if row == OFF_ENERGY else 700.0)]
    return [message.build()]


def at(row: float) -> int:
    """The time within the scan at which this row is exposed."""
    return STAMP_S * 1_000_000_000 + round((row + 0.5) * 1_000_000)


def bench_for(folder: Path, at_rest: dict[str, float], **quality: float) -> Bench:
    profile: dict[str, Any] = {
        "channels": profile_for(folder).channels | {"shutter": SHUTTER},
        "quality": QualitySettings.model_validate(quality),
    }
    return Bench(folder, at_rest=at_rest, profile=profile, n_positions=N, energy_eV=700.0)


def scan(bench: Bench) -> Iterator[Step]:
    """The ring current falls for three rows, the shutter closes for two, and one has another energy."""
    changes = [
        *((DUMPED[0], "ring_current", 120.0), (DUMPED[-1] + 1, "ring_current", 200.0)),
        *((SHUT[0], "shutter", 0.0), (SHUT[-1] + 1, "shutter", 1.0)),
    ]
    for row in range(N):
        for first, channel, value in changes:
            if row == first:
                bench.beamline.readbacks.events.append(Readback(channel, value, at(row - 0.3)))
        yield frame(row)
        if row % 7 == 6:
            yield from bench.settles()


def verdicts(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        found = file["/entry/qc"]
        return {name: found[name][()] for name in ("score", "reason", "gates", "number", "second")}  # type: ignore[index]


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    bench = bench_for(tmp_path, {**AT_REST, "shutter": 1.0}, min_ring_current_mA=150.0)
    run = bench.play(bench.exposed(N), scan(bench), bench.detector_stops)
    assert run.state is RunState.COMPLETE and "rejected for" not in run.message, run.message
    return run.setup.path


def test_gates_reject_the_same_rows_live_and_afterwards(run_file: Path) -> None:
    live, found = verdicts(run_file), evaluated(run_file)
    for reason, rejected in (
        (Reason.RING_CURRENT, DUMPED),
        (Reason.SHUTTER, SHUT),
        (Reason.ENERGY, (OFF_ENERGY,)),
    ):
        assert np.flatnonzero(live["gates"] & (1 << reason)).tolist() == list(rejected), reason.name
    for name, of_run, afterwards in (
        ("score", live["score"], found.score),
        ("gates", live["gates"], found.verdicts.gates),
        ("reason", live["reason"], found.verdicts.reason),
        ("number", live["number"], found.verdicts.numbers[:, 0]),
        ("second", live["second"], found.verdicts.numbers[:, 1]),
    ):
        np.testing.assert_array_equal(of_run, afterwards, err_msg=name)
    said = found.reasons()
    assert said[DUMPED[0]] == "ring current 120 mA, below 150 mA"
    assert said[SHUT[0]] == "shutter not open"
    assert said[OFF_ENERGY] == "energy 702 eV, not 700 eV"
    assert [finding for finding in validate_file(run_file) if finding.level == "error"] == []


def test_file_without_them_beside_its_rows_tells_them_by_its_readbacks(run_file: Path, tmp_path: Path) -> None:
    earlier = Path(shutil.copyfile(run_file, tmp_path / "earlier_std.h5"))
    with h5py.File(earlier, "r+") as file:
        for name in ("ring_current_mA", "shutter_open"):
            del file[f"/entry/frames/{name}"]
    np.testing.assert_array_equal(evaluated(earlier).verdicts.gates, verdicts(run_file)["gates"])


def test_what_a_channel_tells_too_late_is_not_known_afterwards_either(tmp_path: Path) -> None:
    bench = bench_for(tmp_path, {**AT_REST, "shutter": 1.0}, min_ring_current_mA=150.0)
    too_late = Readback("ring_current", 100.0, at(5))
    bench.play(
        bench.exposed(N), scan(bench), lambda: bench.beamline.readbacks.events.append(too_late), bench.detector_stops
    )
    path = bench.run.setup.path
    with h5py.File(path) as file:
        assert 100.0 in file["/entry/readbacks/ring_current/value"]  # type: ignore[operator]
    assert np.flatnonzero(verdicts(path)["gates"] & (1 << Reason.RING_CURRENT)).tolist() == list(DUMPED)
    np.testing.assert_array_equal(evaluated(path).verdicts.gates, verdicts(path)["gates"])


def test_a_silent_channel_rejects_nothing_and_both_say_so(tmp_path: Path) -> None:
    bench = bench_for(tmp_path, {name: 0.0 for name in AT_REST if name != "ring_current"}, min_ring_current_mA=150.0)
    ids = range(1, 21)
    run = bench.play(bench.exposed(N), iter([[plain_frame(n)] for n in ids]), bench.detector_stops)
    found = evaluated(run.setup.path)
    with Hdf5Recording(run.setup.path, Hdf5Paths()) as recording:
        file = EvaluatedFile(recording, View.of(recording.frame_shape, None, None, None))
        assert len(list(file.blocks())) == 1
        assert file.unknown_conditions == ("ring_current", "shutter")
    for said in ("ring current below 150 mA: channel 'ring_current' told none", "closed shutter: channel 'shutter'"):
        assert said in run.message
        assert any(said in note for note in found.notes)
    of_channels = (1 << Reason.RING_CURRENT) | (1 << Reason.SHUTTER)
    assert not (verdicts(run.setup.path)["gates"] & of_channels).any()


def test_rows_whose_ring_current_is_that_before_a_disconnection_are_told_of(tmp_path: Path) -> None:
    bench = bench_for(tmp_path, {**AT_REST, "shutter": 1.0}, min_ring_current_mA=150.0)
    readbacks = bench.beamline.readbacks

    def is_gone() -> None:
        readbacks.events.append(Gone("ring_current"))
        readbacks.dead.add("ring_current")
        readbacks.gone.add("ring_current")

    ids = iter([[plain_frame(n)] for n in range(1, 21)])
    run = bench.play(
        bench.exposed(N),
        itertools.islice(ids, 10),
        bench.settles(),
        is_gone,
        ids,
        bench.detector_stops,
    )
    assert "channel 'ring_current' was disconnected during 10 rows, judged by the last value before" in run.message

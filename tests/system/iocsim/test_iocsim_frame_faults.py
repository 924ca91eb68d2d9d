"""Exposures that go wrong: in what PVA and HDF1 show, in the PVs, and by name in the truth alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_client import BeamlineClient

from iocsim.physics.frame_faults import ALL_KINDS

N_FRAMES = 12
KIND_OF = {number + 2: str(kind) for number, kind in enumerate(ALL_KINDS)}
IDS = ",".join(f"{kind}:{unique_id}" for unique_id, kind in KIND_OF.items())


@pytest.fixture(scope="module")
def client(start_ioc: Callable) -> Iterator[BeamlineClient]:
    client = BeamlineClient(start_ioc("--shape", "64,64", "--photons", "1e6", "--fault-ids", IDS).prefix)
    yield client
    client.close()


class Scan:
    """Frames as HDF1 has them, from uniqueId 1 on, and the truth about them."""

    def __init__(self, client: BeamlineClient, folder: Path, n_frames: int = N_FRAMES) -> None:
        client.set_hdf1(
            folder, template="%s%s_%3.3d.h5", cam1__ArrayCounter=0, HDF1__FileNumber=0, HDF1__NumCapture=n_frames
        )
        client.begin_capture()
        client.acquire(n_frames, exposure_s=0.02)
        client.wait_for("HDF1:Capture_RBV", "Done")
        self.path = folder / "scan_000.h5"
        with h5py.File(self.path) as file:
            self.frames = file["/entry/data/data"][()].astype(int)
            self.energy_eV = file["/entry/instrument/NDAttributes/energy"][()]
        client.put("Sim:TruthFile", str(folder / "truth.npz"))
        client.put("Sim:SaveTruth", 1)
        with np.load(folder / "truth.npz") as truth:
            self.truth = {name: truth[name][-n_frames:] for name in ("unique_id", "fault", "magnitude", "energy_eV")}
            self.middle_s = ((truth["start_ns"] + truth["end_ns"]) / 2e9)[-n_frames:]


def test_faults_are_in_the_frames_and_their_names_in_the_truth_alone(client: BeamlineClient, tmp_path: Path):
    energies = client.watch("Energy_RBV")
    scan = Scan(client, tmp_path)
    expected = [KIND_OF.get(unique_id, "") for unique_id in range(1, N_FRAMES + 1)]
    assert scan.truth["fault"].tolist() == expected
    assert (np.isnan(scan.truth["magnitude"]) == (scan.truth["fault"] == "")).all()
    content = scan.path.read_bytes()
    assert not [kind for kind in ALL_KINDS if kind.encode() in content]

    row_of = {kind: row for row, kind in enumerate(expected) if kind}
    frames, light = scan.frames, scan.frames.sum(axis=(1, 2)) - 100 * 64 * 64
    usual = light[0]
    dump = row_of["beam_dump"]
    assert light[dump] / usual - 1 == pytest.approx(scan.truth["magnitude"][dump], abs=0.05)
    assert frames[row_of["saturation"]].max() == 65535
    assert (frames[row_of["partial_readout"]] == 0).all(axis=1).sum() >= 0.2 * 64
    np.testing.assert_array_equal(frames[row_of["repeated"]], frames[row_of["repeated"] - 1])
    assert (np.diff(frames[row_of["hot_pixels"]].ravel()) > 10_000).sum() >= 5

    wrong = row_of["wrong_energy"]
    wrong_eV = 710.0 * (1 + scan.truth["magnitude"][wrong])
    assert scan.truth["energy_eV"].tolist() == pytest.approx([710.0] * wrong + [wrong_eV] + [710.0] * (11 - wrong))
    assert scan.energy_eV.tolist() == pytest.approx(scan.truth["energy_eV"].tolist())
    client.wait_until(lambda: len(energies) >= 5 and energies[-1].value == 710.0)
    times_s, values = [event.timestamp_s for event in energies[1:]], [event.value for event in energies[1:]]
    history = np.interp(scan.middle_s, times_s, values)
    np.testing.assert_allclose(history, scan.truth["energy_eV"])


def test_the_same_ids_have_the_same_faults_again_and_others_none(client: BeamlineClient, tmp_path: Path):
    (tmp_path / "again").mkdir()
    first, again = Scan(client, tmp_path), Scan(client, tmp_path / "again")
    assert first.truth["fault"].tolist() == again.truth["fault"].tolist()
    assert np.array_equal(first.truth["magnitude"], again.truth["magnitude"], equal_nan=True)
    np.testing.assert_array_equal(
        (first.frames[6] == 0).all(axis=1), (again.frames[6] == 0).all(axis=1)
    )  # the same rows are missing
    client.acquire(3)  # the positions once more: uniqueIds 13 to 15
    client.put("Sim:SaveTruth", 1)
    with np.load(tmp_path / "again" / "truth.npz") as truth:
        assert truth["unique_id"][-3:].tolist() == [13, 14, 15]
        assert truth["fault"][-3:].tolist() == ["", "", ""]


def test_faults_and_drifts_are_changed_by_their_pvs(client: BeamlineClient, tmp_path: Path):
    before = client.get("Sim:FaultIds")
    client.put_all(Sim__FaultIds="", Sim__FaultShare=0.5, Sim__FaultKinds="beam_dump,repeated")
    assert client.get("Sim:FaultShare_RBV") == 0.5
    scan = Scan(client, tmp_path)
    assert set(scan.truth["fault"]) == {"", "beam_dump", "repeated"}
    client.put_all(Sim__FaultShare=0.0, Sim__IntensityDrift=0.5)
    drifting = Scan(client, tmp_path)
    assert set(drifting.truth["fault"]) == {""}
    light = drifting.frames.sum(axis=(1, 2)) - 100 * 64 * 64
    assert np.ptp(light) > 0.01 * light.mean()
    client.put_all(Sim__IntensityDrift=0.0, Sim__FaultKinds="", Sim__FaultIds=before)


def test_in_the_dark_nothing_is_faulty(client: BeamlineClient, tmp_path: Path):
    client.put("Shutter", 0)
    dark = Scan(client, tmp_path)
    client.put("Shutter", 1)
    assert set(dark.truth["fault"]) == {""}
    assert set(dark.truth["energy_eV"]) == set(dark.energy_eV) == {710.0}
    assert dark.frames[:, :, ::2].mean(axis=(1, 2)) == pytest.approx(100.0, abs=5.0)


@pytest.mark.further
def test_frames_of_a_stack_show_all_faults_but_a_wrong_energy(start_ioc: Callable, tmp_path: Path):
    kinds = [kind for kind in ALL_KINDS if kind != "wrong_energy"]
    ids = ",".join(f"{kind}:{number + 2}" for number, kind in enumerate(kinds))
    client = BeamlineClient(start_ioc("--shape", "64,64", "--stack", "1", "--fault-ids", ids).prefix)
    scan = Scan(client, tmp_path)
    assert scan.truth["fault"].tolist() == ["", *kinds, "", "", ""]
    differs = (scan.frames != scan.frames[0]).any(axis=(1, 2))
    assert differs.tolist() == [False, *[True] * len(kinds), False, False, False]
    client.put("Sim:FaultIds", "wrong_energy:3")
    client.put("Sim:PointingDrift", 1.0)
    assert client.get("Sim:FaultIds_RBV") == ids
    assert client.get("Sim:PointingDrift_RBV") == 0.0
    client.close()

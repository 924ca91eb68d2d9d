"""Positions and energy that a PandA captures into an HDF5 file: each frame has its own entry, or none."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from exposed import StoredRows
from rig import Rig, Rigs, profile_for

from stream_service.core.exposure import Flag
from stream_service.service.check_arrays_file import check_arrays_file
from stream_service.settings.profile_file import load_profile
from stream_service.standard_file.rules.validate import validate_file

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "hardware-positions.md"
N = 6
CHANNELS: dict[str, Any] = {
    name: {"how": "index", "dataset": f"/INENC{n}.VAL.Mean", "unit": unit}
    for n, (name, unit) in enumerate((("x", "um"), ("y", "um"), ("energy", "eV")), start=1)
}
ELSEWHERE = "/panda"
"""Where the PandA's computer has the folder."""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the PandA's files."""
    return tmp_path_factory.mktemp("panda")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs, captured: Path) -> Iterator[Rig]:
    path = f"{ELSEWHERE}/{{scan_id}}_panda.h5"
    arrays_file = {"path": path, "path_map": {ELSEWHERE: str(captured)}, "timeout_s": 10.0}
    rig = rigs.beside(ioc.prefix, channels=CHANNELS, arrays_file=arrays_file, service={"drain_s": 1.0})
    rig.beamline.put_all(Sim__DropIds="", Sim__PandaMissIds="")
    yield rig
    rig.beamline.put("PANDA:DATA:CAPTURE", "0")


def begin_capture(rig: Rig, folder: Path, scan_id: str, *, swmr: bool = True) -> None:
    """Let the PandA begin its file of a scan."""
    rig.beamline.put("PANDA:DATA:HDF_DIRECTORY", str(folder))
    rig.beamline.put("PANDA:DATA:HDF_FILE_NAME", f"{scan_id}_panda.h5")
    rig.beamline.put("PANDA:DATA:SWMR", "On" if swmr else "Off")
    rig.beamline.put("PANDA:DATA:CAPTURE", "1")


def expose(rig: Rig, n: int = N) -> None:
    """A step scan."""
    for place in range(n):
        rig.beamline.put("X", 3.0 * place)
        rig.beamline.acquire(1)


def check_rows(rig: Rig, scan_id: str, lost: tuple[int, ...] = ()) -> None:
    """Every frame but the lost ones is in the file once for good, where the beamline says it was."""
    truth = {name: column[-N:] for name, column in rig.truth().items()}
    with rig.open(scan_id) as file:
        rows = StoredRows.of(file)
        expected = [int(n) for place, n in enumerate(truth["unique_id"], start=1) if place not in lost]
        assert sorted(unique_id for _, unique_id in rows.final) == expected
        assert rows.left_out == []
        for row in np.flatnonzero(rows.keep).tolist():
            place = truth["unique_id"].tolist().index(rows.identities[row][1])
            np.testing.assert_allclose(file["/entry/pos"][row], (truth["x_m"][place], truth["y_m"][place]), atol=1e-12)
            assert file["/entry/frames/energy_eV"][row] == pytest.approx(rig.beamline.get("Energy_RBV"))
        assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == []


def test_entries_come_while_the_file_grows_and_frames_that_are_lost_shift_none(rig: Rig, captured: Path) -> None:
    before = rig.counter()
    rig.beamline.put("Sim:DropIds", f"{before + 2}")
    assert rig.arm("grows", n_positions=N) == ""
    begin_capture(rig, captured, "grows")
    expose(rig)
    rig.service.wait_until(lambda: rig.service.get("FramesStored") == N - 1)
    rig.beamline.put("PANDA:DATA:CAPTURE", "0")
    assert rig.wait_for_end() == "INCOMPLETE", rig.service.get("Message")
    message = rig.service.get("Message")
    assert "has 6 entries: 5 belong to frames, 1 to none that came, and 0 frames have none" in message
    check_rows(rig, "grows", lost=(2,))
    with rig.open("grows") as file:
        assert len(file["/entry/frames/flags"]) == N - 1, message


@pytest.mark.further
def test_file_that_takes_the_place_of_an_old_one_and_can_be_read_once_it_is_closed(
    ioc: Any, rigs: Rigs, captured: Path
) -> None:
    rig = rigs.beside(
        ioc.prefix,
        channels=CHANNELS,
        arrays_file={"pv": f"{ioc.prefix}PANDA:DATA:HDF_FULL_FILE_PATH", "timeout_s": 60.0},
        service={"drain_s": 1.0, "pairing_timeout_s": 0.5},
    )
    begin_capture(rig, captured, "closed")  # yesterday's, of the same name
    rig.beamline.acquire(N + 1)
    rig.beamline.put("PANDA:DATA:CAPTURE", "0")
    assert rig.arm("closed", n_positions=N) == ""
    begin_capture(rig, captured, "closed", swmr=False)
    expose(rig)
    rig.service.wait_until(lambda: "waiting for the entries of 6 frames" in rig.service.get("Message"))
    rig.service.wait_until(lambda: "being written" in rig.service.get("Message"))
    assert rig.service.get("State") == "DRAINING"
    with h5py.File(rig.folder / "closed_std.h5", swmr=True) as file:
        assert file["/entry/frames/flags"][()].tolist() == [Flag.MISSING] * N
    rig.beamline.put("PANDA:DATA:CAPTURE", "0")
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    check_rows(rig, "closed")


@pytest.mark.further
def test_number_in_the_place_of_the_name_is_refused_by_check_and_told_when_a_run_is_armed(
    ioc: Any, rigs: Rigs, tmp_path: Path
) -> None:
    arrays_file = {"pv": f"{ioc.prefix}X.RBV", "timeout_s": 0.0}
    words = f"{ioc.prefix}X.RBV holds numbers, and not a text that could name a file"
    profile = profile_for(ioc.prefix, "NOBODY:", tmp_path, channels=CHANNELS, arrays_file=arrays_file)
    (found,) = check_arrays_file(load_profile(profile))
    assert found.level == "error" and found.text.startswith(words)
    rig = rigs.beside(ioc.prefix, channels=CHANNELS, arrays_file=arrays_file, service={"pairing_timeout_s": 0.5})
    assert rig.arm("named_by_a_number", n_positions=1) == ""
    assert words in rig.service.get("Message")
    rig.beamline.acquire(1)
    rig.wait_for_end()


def test_commands_of_the_page_give_the_run_that_it_tells_of(ioc: Any, rigs: Rigs, captured: Path) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## Try it\n")[2].partition("\n## ")[0]
    settings = yaml.safe_load(section.partition("```yaml\n")[2].partition("```")[0].replace("SIM:", ioc.prefix))
    rig = rigs.beside(ioc.prefix, **settings)
    places = {"SIM": rig.beamline, "PTYCHO": rig.service}
    for line in re.findall(r"^\$ (caput .*)$", section, re.M):
        *_, pv, value = shlex.split(line)
        prefix, _, name = pv.partition(":")
        places[prefix].put(name, str(captured) if value == "/tmp" else value)
    assert rig.wait_for_end() == "COMPLETE"
    (told,) = re.findall(r"`(6 of 6 .*?)`", section)
    assert str(rig.service.get("Message")).startswith(told)
    with h5py.File(captured / "first_panda.h5") as file:
        assert file["/INENC1.VAL.Mean"].shape == (N,)

"""What a simulated beamline has exposed, by its own record, and a standard file held against it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from epics.ca import ChannelAccessGetFailure
from rig import Rig
from transports import ledger, status_of

from stream_service.core.exposure import Flag
from stream_service.core.frame_status import FrameStatus
from stream_service.standard_file.rules.validate import validate_file

TOLERANCE_M = 3e-9
"""`position_tolerance_m` of the profile."""
TOLERANCE_eV = 0.01
"""Less makes no difference to a row."""
GAIN = np.float32(4)
"""ADU per photon, of the profile."""
SPEED_UM_S, RUN_UP_UM = 4.0, 2.0
SETTLED = ("stored", "backfilled", "lost", "incomplete", "not_exposed")
Identity = tuple[int, int]
"""Epoch, counted from that of the first frame, and uniqueId."""


@dataclass(frozen=True)
class Exposed:
    """The frames of one run, in order."""

    identities: list[Identity]
    x_m: np.ndarray
    y_m: np.ndarray
    energy_eV: np.ndarray

    @classmethod
    def since(cls, rig: Rig, n_before: int) -> Exposed:
        """All but the first `n_before` of the beamline's record."""
        rig.truth()
        with np.load(rig.folder / "truth.npz") as archive:
            epoch, unique_id = archive["epoch"][n_before:], archive["unique_id"][n_before:]
            x_m, y_m, energy_eV = (archive[name][n_before:] for name in ("x_m", "y_m", "energy_eV"))
        return cls(list(zip((epoch - epoch[:1]).tolist(), unique_id.tolist(), strict=True)), x_m, y_m, energy_eV)

    def __len__(self) -> int:
        return len(self.identities)

    def check(self, file: h5py.File, n_planned: int, message: str) -> StoredRows:
        """No frame is in the file twice or unaccounted, no position that is used is wrong by more than it says, and no
        energy without a flag."""
        rows = StoredRows.of(file)
        final, lost = rows.final, status_of(file, FrameStatus.LOST)
        assert len(set(final)) == len(final), message
        assert sorted([*final, *lost]) == sorted(self.identities), message
        account = ledger(file)
        assert sum(account.get(status, 0) for status in SETTLED) == account["expected"] == n_planned, message
        assert account.get("not_exposed", 0) == n_planned - len(self), message
        place_of = {identity: place for place, identity in enumerate(self.identities)}
        if not lost and len(self) == n_planned:
            assert rows.planned == [place_of[identity] for identity in rows.identities], message
        uncertainty_m = np.nan_to_num(file["/entry/frames/position_uncertainty_m"][()])
        for row in np.flatnonzero(rows.keep).tolist():
            place = place_of[rows.identities[row]]
            off_m = np.abs(file["/entry/pos"][row] - (self.x_m[place], self.y_m[place])).max()
            assert off_m <= TOLERANCE_M + uncertainty_m[row], (rows.identities[row], off_m, message)
        energies_eV = file["/entry/frames/energy_eV"][()]
        for row in np.flatnonzero(rows.flags == 0).tolist():
            off_eV = abs(energies_eV[row] - self.energy_eV[place_of[rows.identities[row]]])
            assert off_eV <= TOLERANCE_eV, (rows.identities[row], off_eV, message)
        assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == []
        return rows


@dataclass(frozen=True)
class StoredRows:
    """The rows of a file, of one frame each."""

    identities: list[Identity]
    keep: np.ndarray
    flags: np.ndarray
    planned: list[int]
    is_final: np.ndarray
    """False for one that a later one replaces."""

    @classmethod
    def of(cls, file: h5py.File) -> StoredRows:
        columns = (file[f"/entry/frames/{name}"][()].reshape(-1).tolist() for name in ("epoch", "unique_id"))
        identities = list(zip(*columns, strict=True))
        replaces = file["/entry/frames/replaces"][()]
        is_final = ~np.isin(np.arange(len(identities)), replaces[replaces >= 0])
        planned = file["/entry/frames/planned"][()].tolist()
        return cls(identities, file["/entry/keep"][()] != 0, file["/entry/frames/flags"][()], planned, is_final)

    @property
    def final(self) -> list[Identity]:
        """Those that no later one replaces."""
        return [identity for identity, is_final in zip(self.identities, self.is_final, strict=True) if is_final]

    @property
    def left_out(self) -> list[Flag]:
        """Why final rows are not to be used."""
        return [Flag(int(flag)) for flag in self.flags[self.is_final & ~self.keep]]


def check_pixels(file: h5py.File, raw: Path) -> None:
    """Of every row of the first epoch whose frame the file writer got as well."""
    with h5py.File(raw, swmr=True) as other:
        ids, frames = other["/entry/instrument/NDAttributes/NDArrayUniqueId"][()].tolist(), other["/entry/data/data"]
        place_of: dict[int, int] = {}
        for place, unique_id in enumerate(ids[: len(frames)]):
            place_of.setdefault(unique_id, place)
        n_compared = 0
        for row, (epoch, unique_id) in enumerate(StoredRows.of(file).identities):
            if epoch == 0 and unique_id in place_of:
                n_compared += 1
                pixels = frames[place_of[unique_id]].astype(np.float32) / GAIN
                np.testing.assert_array_equal(file["/entry/data"][row], pixels)
    assert n_compared > 3


def fly(rig: Rig, n: int, period_s: float) -> None:
    """Begin to take frames while the stage goes on at constant speed."""
    rig.beamline.put("X.VELO", SPEED_UM_S)
    began_um = rig.beamline.get("X.RBV")
    rig.beamline.put("X", 60.0, wait=False)
    rig.beamline.wait_until(lambda: rig.beamline.get("X.RBV") > began_um + RUN_UP_UM)
    rig.beamline.put_all(
        cam1__ImageMode="Multiple", cam1__NumImages=n, cam1__AcquireTime=0.01, cam1__AcquirePeriod=period_s
    )
    rig.beamline.put("cam1:Acquire", 1, wait=False)
    rig.beamline.wait_for("cam1:Acquire_RBV", "Acquiring")


def halt(rig: Rig) -> None:
    """Wait until the detector is idle, and bring the stage back."""
    rig.beamline.wait_until(lambda: _is_idle(rig))
    rig.beamline.put("X.STOP", 1)
    rig.beamline.put("X.VELO", 200.0)
    rig.beamline.put("X", -20.0)


def _is_idle(rig: Rig) -> bool:
    """False also while the IOC is away."""
    with suppress(ChannelAccessGetFailure, AssertionError):
        return rig.beamline.get("cam1:Acquire_RBV") == "Done"
    return False

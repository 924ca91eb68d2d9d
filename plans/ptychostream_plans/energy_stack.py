"""`ptycho_energy_stack`: the same positions at one energy after the other, a standard file for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import CustomPlanMetadata, MsgGenerator, RunEngineControlException

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.energy import Monochromator
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.queueable import queueable
from ptychostream_plans.step_scan import step_scan
from ptychostream_plans.trajectory import from_positions

Focus = Callable[[float], MsgGenerator[float]]
"""From the energy in eV to a plan that brings the beam into focus again, and gives a distance in metres to record."""


class EnergyStackError(Exception):
    """One energy of a stack failed; the text says which, why, and what is there."""


@queueable
def ptycho_energy_stack(
    detector: PtychoDetector,
    stage: ScanStage,
    energy: Monochromator,
    service: StreamServiceDevice | None = None,
    *,
    energies_eV: Sequence[float],
    positions_m: Sequence[Sequence[float]],
    exposure_s: float,
    focus: Focus | None = None,
    frames_per_position: int = 1,
    scan_id: str | None = None,
    path: str = "",
    probe_diameter_m: float | None = None,
    references: Mapping[str, str] | None = None,
    md: CustomPlanMetadata | None = None,
) -> MsgGenerator[list[str]]:
    """Scan the same positions at every energy, in the given order; each energy is a bluesky run and a file of its own.

    Parameters
    ----------
    detector : PtychoDetector
        Takes `frames_per_position` frames at each position.
    stage : ScanStage
        Moves the sample (or the beam).
    energy : Monochromator
        Moved to each energy, and waited for.
    service : StreamServiceDevice, optional
        The streaming service that writes the standardized files.
    energies_eV : sequence of float
        Photon energies, in eV.
    positions_m : sequence of (x, y)
        Beam on the sample, in metres; `fermat_spiral` and the other trajectories give such.
    exposure_s : float
        Exposure time of one frame.
    focus : callable, optional
        Called with each energy in eV; gives a plan that moves what must follow (a zone plate's focal length grows with
        the energy) and returns a distance in metres, which is recorded as `focus_m`.
    frames_per_position : int
        Frames at each position; the service reduces them to one row.
    scan_id : str, optional
        Begins the names of the files: `<scan_id>_000_710.0eV_std.h5`. The time, if not given.
    path : str
        Folder of the files, below the roots of the service and of the detector.
    probe_diameter_m : float, optional
        Diameter of the probe on the sample; positions that do not overlap are then refused.
    references : dict, optional
        Files of `dark`, `flat` or `mask`, by these names.
    md : dict, optional
        More metadata for the runs.

    Returns
    -------
    uids : list of str
        Of the bluesky runs.
    """
    if not energies_eV:
        raise ValueError("energies_eV is empty; a stack has at least one energy")
    trajectory = from_positions(positions_m)
    stack_id = scan_id or datetime.now().strftime("stack_%Y%m%d_%H%M%S")
    moved: Any = energy  # ophyd's annotations are looser than bluesky's protocols

    def at(index: int, energy_eV: float) -> MsgGenerator[str]:
        yield from bps.mv(moved, energy_eV)
        facts: dict[str, str | int | float] = {
            "stack_id": stack_id,
            "energy_index": index,
            "n_energies": len(energies_eV),
            "energy_eV": energy_eV,
        }
        if focus is not None:
            facts["focus_m"] = yield from focus(energy_eV)
        return (
            yield from step_scan(
                detector,
                stage,
                service,
                trajectory=trajectory,
                exposure_s=exposure_s,
                frames_per_position=frames_per_position,
                energy=moved,
                scan_id=f"{stack_id}_{index:03d}_{energy_eV:.1f}eV",
                path=path,
                probe_diameter_m=probe_diameter_m,
                references=references,
                plan_name="ptycho_energy_stack",
                plan_args={"energies_eV": list(energies_eV), "positions_m": trajectory.positions_m.tolist()},
                facts=facts,
                md=md,
            )
        )

    uids: list[str] = []
    for index, energy_eV in enumerate(energies_eV):
        try:
            uids.append((yield from at(index, energy_eV)))
        except RunEngineControlException:  # someone aborts or stops it: that is no failure
            raise
        except Exception as error:
            done = f"; the files of the {index} before it are there" if index else ""
            raise EnergyStackError(
                f"energy {index + 1} of {len(energies_eV)} ({energy_eV:g} eV) of {stack_id} failed: {error}{done}"
            ) from error
    return uids

"""`ptycho_energy_stack`: the same positions at one energy after the other, a standard file for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import bluesky.plan_stubs as bps
from bluesky.utils import FailedPause, MsgGenerator, RunEngineControlException

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.energy import Monochromator
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.queueable import queueable
from ptychostream_plans.scan_options import CommonOptions
from ptychostream_plans.step_scan import step_scan
from ptychostream_plans.streamed_run import Fact
from ptychostream_plans.trajectories.trajectory import from_positions
from stream_service.text.names_of_now import name_of_now

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
    focus: Focus | None = None,
    frames_per_position: int = 1,
    **scan: Unpack[CommonOptions],
) -> MsgGenerator[list[str]]:
    """Scan the same positions at every energy, in the given order; each energy is a bluesky run and a file of its own.

    The files are `<scan_id>_000_710.0eV_std.h5` and so on.

    Parameters
    ----------
    energy : Monochromator
        Moved to each energy, and waited for.
    energies_eV : sequence of float
        Photon energies, in eV.
    positions_m : sequence of (x, y)
        Beam on the sample, in metres; `fermat_spiral` and the other trajectories give such.
    focus : callable, optional
        Called with each energy in eV; gives a plan that moves what must follow (a zone plate's focal length grows with
        the energy) and returns a distance in metres, which is recorded as `focus_m`.
    <the parameters of every scan>

    Returns
    -------
    uids : list of str
        Of the bluesky runs.
    """
    if not energies_eV:
        raise ValueError("energies_eV is empty; a stack has at least one energy")
    trajectory = from_positions(positions_m)
    stack_id = scan.get("scan_id") or name_of_now("stack")
    moved: Any = energy  # ophyd's annotations are looser than bluesky's protocols

    def at(index: int, energy_eV: float) -> MsgGenerator[str]:
        yield from bps.mv(moved, energy_eV)
        facts: dict[str, Fact] = {
            "stack_id": stack_id,
            "energy_index": index,
            "n_energies": len(energies_eV),
            "energy_eV": energy_eV,
        }
        options: CommonOptions = {**scan, "scan_id": f"{stack_id}_{index:03d}_{energy_eV:.1f}eV"}
        if focus is not None:
            facts["focus_m"] = yield from focus(energy_eV)
        return (
            yield from step_scan(
                detector,
                stage,
                service,
                "ptycho_energy_stack",
                trajectory,
                facts,
                frames_per_position=frames_per_position,
                energy=moved,
                **options,
            )
        )

    uids: list[str] = []
    for index, energy_eV in enumerate(energies_eV):
        try:
            uids.append((yield from at(index, energy_eV)))
        except (RunEngineControlException, FailedPause):  # someone aborts or stops it: that is no failure
            raise
        except Exception as error:
            done = f"; the files of the {index} before it are there" if index else ""
            raise EnergyStackError(
                f"energy {index + 1} of {len(energies_eV)} ({energy_eV:g} eV) of {stack_id} failed: {error}{done}"
            ) from error
    return uids

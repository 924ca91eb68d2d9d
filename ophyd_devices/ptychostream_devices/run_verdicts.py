"""Verdicts on the rows of one run, as the service's PVs tell of them: waiting for them, and repeats that follow."""

from __future__ import annotations

from dataclasses import dataclass

from ptychostream_devices.service_pvs import ServicePVs
from stream_service.settings.request import RepeatRequest, ScanRequest
from stream_service.settings.service_status import ToRepeat
from stream_service.settings.status_table import ServicePV


@dataclass(frozen=True, slots=True)
class RunVerdicts:
    """How the rows of a run stand."""

    n_rows: int
    """Judged together with all others that were there."""
    n_rejected: int
    to_repeat: tuple[int, ...]
    """Planned positions of which no row can be used, from 0, the first 500 of them."""
    n_lacking: int
    """Of all of them."""


class VerdictWatch:
    """The verdicts of the run that a request asked for."""

    def __init__(self, pvs: ServicePVs, request: ScanRequest) -> None:
        self._pvs = pvs
        self._request = request

    @property
    def latest(self) -> RunVerdicts:
        """As they stand now."""
        told = ToRepeat.model_validate_json(self._pvs.text(ServicePV.TO_REPEAT) or "{}")
        n_rejected = self._pvs.number(ServicePV.ROWS_REJECTED)
        return RunVerdicts(told.rows, n_rejected, told.positions, told.lacking)

    def has(self, n_positions: int) -> bool:
        """True once the rows of so many positions, repeats included, have been judged together, but for lost ones."""
        n_frames = self.latest.n_rows * self._frames_per_row + self._pvs.number(ServicePV.FRAMES_LOST)
        return n_frames >= n_positions * self._request.frames_per_position

    @property
    def _frames_per_row(self) -> int:
        request = self._request
        if request.n_planned_frames is None:
            return request.frames_per_position
        return (request.n_planned_frames + request.extra_frames) // max(1, self._pvs.number(ServicePV.ROWS_EXPECTED))

    def announce(self, positions: tuple[int, ...], timeout_s: float) -> str:
        """Say which planned positions are exposed again; the service's reason if it refuses, else an empty text."""
        pvs = self._pvs
        repeat_count = pvs.latest(ServicePV.REPEAT).count
        error_count = pvs.latest(ServicePV.ARM_ERROR).count
        request = RepeatRequest(scan_id=self._request.scan_id, positions=positions)
        pvs.put(ServicePV.REQUEST, request.model_dump_json())
        pvs.put(ServicePV.REPEAT, 1)

        def refusal() -> str:
            error = pvs.latest(ServicePV.ARM_ERROR)
            return str(error.value) if error.count > error_count else ""

        def is_answered() -> bool:
            repeat = pvs.latest(ServicePV.REPEAT)
            return repeat.count > repeat_count and repeat.value == 0

        # updates of different PVs have no order among them: only what the service repeats in its own words is an answer
        def is_decided() -> bool:
            return not pvs.is_connected or bool(refusal()) or (is_answered() and self._is_known(len(positions)))

        if not pvs.wait_until(is_decided, timeout_s) or not pvs.is_connected:
            return f"{pvs.prefix}{ServicePV.REPEAT} was not answered within {timeout_s:g} s"
        return refusal()

    def _is_known(self, n_repeats: int) -> bool:
        told = ToRepeat.model_validate_json(self._pvs.text(ServicePV.TO_REPEAT) or "{}")
        return told.announced == n_repeats

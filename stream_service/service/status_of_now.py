"""The status of the service: what it does, as the daemon says, with all that is measured and watched beside that."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from stream_service.run.live.beamline_monitors import BeamlineMonitors
from stream_service.run.run_file import versions
from stream_service.service.data_disk import DataDisk
from stream_service.service.row_latencies import RowLatencies
from stream_service.service.watched import Watched
from stream_service.settings.held_alarms import HeldAlarms
from stream_service.settings.service_status import (
    DataPlace,
    Health,
    Pace,
    ReadbackStatus,
    RunStatus,
    ServiceStatus,
    Severity,
)

DISK_S, READBACKS_S = 5.0, 1.0
"""Between two looks."""
SILENT_S = 30.0
"""What has not been seen for so long, the disk or the PVs, is told of."""


class StatusOfNow:
    """The status at any moment. `start` begins to watch; every method may be called by the main loop, none waits."""

    def __init__(self, data_root: Path) -> None:
        self.latencies = RowLatencies()
        """A sink of every run."""
        self.report = ""
        """Path of the newest report of a run."""
        self.disk = DataDisk(data_root)
        """Where the files are."""
        self._data_root = data_root
        self._began_s = time.monotonic()
        self._pace, self._held = Pace(), HeldAlarms()
        self._place = Watched("the disk", self.disk.look, DataPlace(str(data_root)), DISK_S)
        self._readbacks: Watched[tuple[ReadbackStatus, ...]] | None = None

    def start(self, monitors: BeamlineMonitors) -> None:
        """Watch the disk, and the PVs of the profile, from now on."""
        self._place.start()
        self._readbacks = Watched("the readbacks", monitors.readback_status, (), READBACKS_S)
        self._readbacks.start()

    def status(
        self,
        now_s: float,
        run: RunStatus,
        *,
        is_busy: bool,
        has_failed: bool,
        defects: Mapping[str, str],
        arm_error: str,
        is_standing_by: bool,
        is_resuming: bool,
    ) -> ServiceStatus:
        """The status at this moment of the monotonic clock; `defects` are of the service itself, in sentences."""
        troubles = (*defects.values(), *self._stale_readbacks(now_s))
        if troubles:
            run = replace(run, message="; ".join((run.message, *troubles)), severity=Severity.MAJOR)
        self._pace = self._pace.at(run, now_s)
        status = ServiceStatus(
            Health.BUSY if is_busy else Health.FAULTED if has_failed else Health.READY,
            run,
            self._pace,
            arm_error,
            is_standing_by,
            now_s - self._began_s,
            is_resuming,
            readbacks=self._readbacks.latest if self._readbacks is not None else (),
            place=self._place_at(now_s),
            report=self.report,
            version=versions()["ptychostream"],
            latencies=self.latencies.latest,
        )
        return self._held.kept_in(status, now_s)

    def close(self) -> None:
        """Watch no more."""
        for watched in filter(None, (self._place, self._readbacks)):
            watched.close()

    def _stale_readbacks(self, now_s: float) -> Iterator[str]:
        if self._readbacks is not None and (age_s := self._readbacks.age_s(now_s)) > SILENT_S:
            yield f"whether the PVs of the profile are connected has not been seen for {age_s:.0f} s"

    def _place_at(self, now_s: float) -> DataPlace:
        if (age_s := self._place.age_s(now_s)) > SILENT_S:
            return DataPlace(str(self._data_root), problem=f"{self._data_root} has not answered for {age_s:.0f} s")
        return self._place.latest

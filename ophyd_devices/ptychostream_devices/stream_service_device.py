"""The streaming service as a bluesky device.

It follows bluesky's protocols and derives from no device library, so that one object works in a RunEngine beside
ophyd and ophyd-async devices. Everything that takes time happens in a thread and is seen as a status; a status that
fails says in a sentence what did not happen, in the service's own words where it gave any.

The device ends no run but its own: it acts only while the newest run of the service has the number that its own
arming gave it, and its scan id.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from bluesky.protocols import Reading, StreamAsset
from event_model import DataKey

from ptychostream_devices.row_documents import RowDocuments
from ptychostream_devices.service_pvs import EpicsServicePVs, ServicePVs
from ptychostream_devices.status import JobStatus
from stream_service.settings.request import ScanRequest

logger = logging.getLogger(__name__)

GUARD_S = 60.0  # between two looks of a guard that nothing woke
RECONNECTION_S = 10.0  # for a service that was away for a moment

ACTIVE_STATES = frozenset({"ARMED", "RECEIVING", "DRAINING"})
END_STATES = frozenset({"COMPLETE", "INCOMPLETE", "ABORTED", "FAILED"})
UNSUCCESSFUL_STATES = frozenset({"ABORTED", "FAILED"})

ACCOUNT = {
    "state": "State",
    "file": "File",
    "rows": "Rows",
    "frames_expected": "FramesExpected",
    "frames_stored": "FramesStored",
    "frames_lost": "FramesLost",
    "frames_duplicate": "FramesDuplicate",
    "frames_incomplete": "FramesIncomplete",
    "frames_not_exposed": "FramesNotExposed",
    "frames_surplus": "FramesSurplus",
    "end_reason": "EndReason",
}
"""What `read` gives, and the PV it comes from."""


class StreamServiceError(Exception):
    """The service did not do what the plan needs; the text can be shown to an operator as it is."""


class StreamServiceDevice:
    """One `ptychostream run`, reached by its PVs: stage, prepare (arm), kickoff, complete, collect, unstage."""

    parent = None

    def __init__(
        self,
        prefix: str = "PTYCHO:",
        *,
        name: str,
        pvs: ServicePVs | None = None,
        connect_timeout_s: float = 5.0,
        arm_timeout_s: float = 30.0,
        quiet_s: float = 2.0,
        end_timeout_s: float = 120.0,
        require_complete: bool = False,
    ) -> None:
        """`pvs` is the transport, Channel Access by default.

        `arm_timeout_s` covers the service's warm-up; when no frame came for `quiet_s`, `complete` asks the run to
        stop; `end_timeout_s` is how long the run may then take to reconcile and close its file. With
        `require_complete` a run that ends INCOMPLETE fails the plan; otherwise it is logged as a warning.
        """
        self.name = name
        self._pvs: ServicePVs = EpicsServicePVs(prefix) if pvs is None else pvs
        self._connect_timeout_s = connect_timeout_s
        self._arm_timeout_s = arm_timeout_s
        self._quiet_s = quiet_s
        self._end_timeout_s = end_timeout_s
        self._require_complete = require_complete
        self._request: ScanRequest | None = None
        self._run_number: int | None = None
        self._arming: JobStatus | None = None
        self._is_told_to_end = False
        self._documents = self._new_documents()

    # -- Stageable ---------------------------------------------------------------------------------------------

    def stage(self) -> JobStatus:
        """Connect. Fails with a sentence when the service does not answer.

        A service whose last run failed is not refused: whether it can do the next is for its arming to say.
        """
        self._run_number = None
        return JobStatus(
            f"connect {self.name} to {self._pvs.prefix}", lambda _: self._pvs.connect(self._connect_timeout_s)
        )

    def unstage(self) -> JobStatus:
        """Leave nothing running: a run of ours that has not ended is stopped in good order."""

        def stop(status: JobStatus) -> None:
            self._pvs.put("Stop", 1)
            self._wait_for_end(status, is_told_to_end=True)

        self._let_it_end()
        return JobStatus(f"unstage {self.name}", stop if self._is_running() else None)

    # -- Preparable --------------------------------------------------------------------------------------------

    def prepare(self, value: ScanRequest) -> JobStatus:
        """Arm the service for one scan; done when it is ready for the first frame."""
        self._let_it_end()  # whoever guards an earlier run
        self._request, self._run_number = value, None
        self._documents = self._new_documents()
        self._arming = JobStatus(f"arm {self._pvs.prefix} for scan {value.scan_id}", lambda _: self._arm(value))
        return self._arming

    def _arm(self, request: ScanRequest) -> None:
        pvs = self._pvs
        pvs.connect(self._connect_timeout_s)
        arm_count = pvs.latest("Arm").count
        error_count = pvs.latest("ArmError").count
        pvs.put("Request", request.model_dump_json())
        self._run_number = self._number("RunNumber") + 1
        self._is_told_to_end = False
        pvs.put("Arm", 1)

        def is_answered() -> bool:
            arm = pvs.latest("Arm")
            return arm.count > arm_count and arm.value == 0

        def is_refused() -> bool:
            error = pvs.latest("ArmError")
            return error.count > error_count and error.value != ""

        # Updates of different PVs have no order among them: the rest of the answer may come a moment after Arm. And a 0
        # of Arm alone is no answer: it also comes when a service that was started again is connected anew.
        pvs.wait_until(
            lambda: not pvs.is_connected or (is_answered() and (self._is_running() or is_refused())),
            self._arm_timeout_s,
        )
        if not pvs.is_connected:
            raise StreamServiceError(
                f"the service at {pvs.prefix} no longer answers: it went away while it was arming for scan "
                f"{request.scan_id}. Is it running?"
            )
        if not is_answered():
            raise StreamServiceError(
                f"{pvs.prefix}Arm did not come back to 0 within {self._arm_timeout_s:g} s "
                f"(State is {self._text('State')}): {self._text('Message') or 'the service gave no reason'}"
            )
        if not self._is_running():
            raise StreamServiceError(
                self._text("ArmError")
                or f"{pvs.prefix} gave no ArmError but is not armed: State is {self._text('State')}, ScanId "
                f"{self._text('ScanId')!r} instead of {request.scan_id!r}"
            )

    # -- Flyable -----------------------------------------------------------------------------------------------

    def kickoff(self) -> JobStatus:
        """Done at once, because the run began when it was armed; raises `StreamServiceError` if it was not."""
        if not self._is_ours():
            raise StreamServiceError(f"{self.name} is not armed: prepare it with a ScanRequest first")
        return JobStatus(f"kick off {self.name}", None)

    def complete(self) -> JobStatus:
        """Let the run end, or stop it when nothing more comes; done at its end state, with progress until then.

        Fails with the service's reason when the run FAILED or was ABORTED, or is INCOMPLETE and must not be.
        """

        def finish(status: JobStatus) -> None:
            if not self._is_ours():
                raise StreamServiceError(f"{self.name} has no run to complete: it was not armed")
            self._wait_for_end(status, is_told_to_end=False)
            state = self._text("State")
            if state in UNSUCCESSFUL_STATES or (state == "INCOMPLETE" and self._require_complete):
                raise StreamServiceError(self._ending())
            if state == "INCOMPLETE" or self._number("FramesSurplus"):
                logger.warning("%s", self._ending())

        self._let_it_end()
        return JobStatus(f"complete {self.name}", finish)

    def abort(self) -> JobStatus:
        """End our run now, keeping the rows so far; nothing happens if it has ended or never began."""

        def end_now(status: JobStatus) -> None:
            if self._arming is not None and not self._arming.done:
                self._arming.exception(self._arm_timeout_s)  # a run that is just being armed must not survive
            if self._is_running():
                self._pvs.put("Abort", 1)
                self._wait_for_end(status, is_told_to_end=True)

        self._let_it_end()
        return JobStatus(f"abort {self.name}", end_now)

    def guard(self) -> JobStatus:
        """Watch over our run while a plan works; fails with the reason when it ends without being told to.

        A plan that waits for a detector whose IOC has died waits for ever: it learns from this status that the service
        has given up. Done without an error when the run is complete, or `complete`, `unstage` or `abort` is called.
        """

        def watch(_: JobStatus) -> None:
            number = self._run_number
            while not self._pvs.wait_until(lambda: self._is_over(number), GUARD_S):
                pass
            if self._is_told_to_end or self._run_number != number or self._text("State") == "COMPLETE":
                return
            if not self._pvs.is_connected and self._pvs.wait_until(
                lambda: self._pvs.is_connected, max(self._quiet_s, RECONNECTION_S)
            ):
                watch(_)
            else:
                self.check()

        return JobStatus(f"guard the run of {self.name}", watch)

    def _is_over(self, number: int | None) -> bool:
        return (
            self._is_told_to_end
            or self._run_number != number
            or not self._pvs.is_connected
            or not self._is_ours()
            or self._has_ended()
        )

    def _let_it_end(self) -> None:
        self._is_told_to_end = True
        self._pvs.wake()

    def check(self) -> None:
        """Raise `StreamServiceError` unless our run still takes frames: what is exposed now would not be stored."""
        if not self._pvs.is_connected:
            raise StreamServiceError(self._silence())
        if not self._is_ours():
            raise StreamServiceError(self._succession())
        if not self._is_running():
            raise StreamServiceError(self._ending())

    def _wait_for_end(self, status: JobStatus, *, is_told_to_end: bool) -> None:
        request = self._request
        if not is_told_to_end and request is not None and (request.n_positions is None or request.extra_frames > 0):
            self._pvs.put("Stop", 1)  # nothing else ends such a run
            is_told_to_end = True
        progress: tuple[int, int] | None = None
        quiet_since_s = time.monotonic()
        while not self._has_ended():
            if not self._is_ours():
                raise StreamServiceError(self._succession())
            if not self._pvs.wait_until(lambda: self._pvs.is_connected, self._quiet_s):
                raise StreamServiceError(self._silence())
            if self._progress() != progress:
                progress, quiet_since_s = self._progress(), time.monotonic()
                status.report(current=progress[1], target=self._number("RowsExpected") or None, unit="rows")
            patience_s = self._end_timeout_s if is_told_to_end else self._quiet_s
            left_s = quiet_since_s + patience_s - time.monotonic()
            if left_s > 0:
                self._pvs.wait_until(lambda seen=progress: self._has_news(seen), left_s)
            elif is_told_to_end:
                raise StreamServiceError(
                    f"{self._pvs.prefix} was told to end but is still {self._text('State')}, "
                    f"{self._end_timeout_s:g} s after its last frame: {self._text('Message')}"
                )
            else:
                self._pvs.put("Stop", 1)
                is_told_to_end, quiet_since_s = True, time.monotonic()

    def _has_news(self, progress: tuple[int, int] | None) -> bool:
        return self._has_ended() or not self._is_ours() or not self._pvs.is_connected or self._progress() != progress

    def _silence(self) -> str:
        return f"the service at {self._pvs.prefix} no longer answers; its file so far is {self._text('File')}"

    def _succession(self) -> str:
        return f"run {self._run_number} is no longer the newest run of {self._pvs.prefix}; its file tells how it ended"

    def _ending(self) -> str:
        said = ": ".join(text for text in (self._text("EndReason"), self._text("Message")) if text)
        file = f" File: {self._text('File')}" if self._text("File") else ""
        return f"scan {self._text('ScanId')} ended {self._text('State')}: {said or 'no reason given'}.{file}"

    # -- WritesStreamAssets, Collectable -----------------------------------------------------------------------

    def describe_collect(self) -> dict[str, DataKey]:
        """One data key: a stored row of the standardized file, (1, y, x) float32."""
        return self._documents.describe(self._text("File"))

    def get_index(self) -> int:
        """Rows in the file that a reader can rely on."""
        return self._number("Rows")

    def collect_asset_docs(self, index: int | None = None) -> Iterator[StreamAsset]:
        """Documents of the rows that have come since the last call, up to row `index`.

        None, unless the rows were declared as a stream (`describe_collect`), so that the device can also be read
        like any other.
        """
        rows = self.get_index()
        yield from self._documents.up_to(rows if index is None else min(rows, index), self._text("File"))

    def _new_documents(self) -> RowDocuments:
        return RowDocuments(f"{self.name}_data", f"ca://{self._pvs.prefix}File")

    # -- Readable ----------------------------------------------------------------------------------------------

    def read(self) -> dict[str, Reading[Any]]:
        """State, file and the account of the frames of the newest run."""
        heard = {field: self._pvs.latest(pv) for field, pv in ACCOUNT.items()}
        return {
            f"{self.name}_{field}": Reading(value=update.value, timestamp=update.timestamp_s)
            for field, update in heard.items()
        }

    def describe(self) -> dict[str, DataKey]:
        """The same keys as `read`."""
        return {
            f"{self.name}_{field}": DataKey(
                source=f"ca://{self._pvs.prefix}{pv}",
                dtype="string" if isinstance(self._pvs.latest(pv).value, str) else "integer",
                shape=[],
            )
            for field, pv in ACCOUNT.items()
        }

    # -- what the PVs say --------------------------------------------------------------------------------------

    def _text(self, pv: str) -> str:
        return str(self._pvs.latest(pv).value)

    def _number(self, pv: str) -> int:
        return int(self._pvs.latest(pv).value)

    def _progress(self) -> tuple[int, int]:
        return self._number("FramesReceived"), self._number("Rows")

    def _is_ours(self) -> bool:
        return (
            self._request is not None
            and self._run_number is not None
            and self._number("RunNumber") == self._run_number
            and self._text("ScanId") == self._request.scan_id
        )

    def _is_running(self) -> bool:
        return self._is_ours() and self._text("State") in ACTIVE_STATES

    def _has_ended(self) -> bool:
        return self._is_ours() and self._text("State") in END_STATES

    def __repr__(self) -> str:
        return f"StreamServiceDevice({self._pvs.prefix!r}, name={self.name!r})"

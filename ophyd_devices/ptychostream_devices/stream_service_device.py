"""The streaming service as a bluesky device.

It follows bluesky's protocols and derives from no device library, so that one object works in a RunEngine beside
ophyd and ophyd-async devices. Everything that takes time happens in a thread and is seen as a status; a status that
fails says in a sentence what did not happen, in the service's own words where it gave any.

The device ends no run but its own (`service_run.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from bluesky.protocols import Reading, StreamAsset
from event_model import DataKey

from ptychostream_devices.row_documents import RowDocuments
from ptychostream_devices.run_verdicts import RunVerdicts
from ptychostream_devices.service_pvs import EpicsServicePVs, ServicePVs
from ptychostream_devices.service_run import ANSWER_S, UNSUCCESSFUL, ServiceRun, StreamServiceError
from ptychostream_devices.status import JobStatus
from stream_service.core.run import RunState
from stream_service.settings.pv_type import Kind
from stream_service.settings.request import ScanRequest
from stream_service.settings.status_table import RECORDED, ServicePV

logger = logging.getLogger(__name__)


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
        return_timeout_s: float = 60.0,
        require_complete: bool = False,
    ) -> None:
        """`pvs` is the transport, Channel Access by default.

        `arm_timeout_s` covers the service's warm-up; when no frame came for `quiet_s`, `complete` asks the run to
        stop; `end_timeout_s` is how long the run may then take to reconcile and close its file. A service that was
        killed and is started again within `return_timeout_s` goes on with its run, and so does the plan. With
        `require_complete` a run that ends INCOMPLETE fails the plan; otherwise it is logged as a warning.
        """
        self.name = name
        self._pvs: ServicePVs = EpicsServicePVs(prefix) if pvs is None else pvs
        self._connect_timeout_s = connect_timeout_s
        self._arm_timeout_s = arm_timeout_s
        self._quiet_s = quiet_s
        self._end_timeout_s = end_timeout_s
        self._return_timeout_s = return_timeout_s
        self._require_complete = require_complete
        self._run: ServiceRun | None = None
        self._earlier: ServiceRun | None = None
        """Our run of the scan before, until it is known that it has ended."""
        self._arming: JobStatus | None = None
        self._documents = self._new_documents()

    # -- Stageable ---------------------------------------------------------------------------------------------

    def stage(self) -> JobStatus:
        """Connect. Fails with a sentence when the service does not answer.

        A service whose last run failed is not refused: whether it can do the next is for its arming to say. A run of
        ours that nobody could end, since the service was away, and which goes on by now, is aborted.
        """
        self._earlier, self._run = self._let_it_end() or self._earlier, None

        def connect(_: JobStatus) -> None:
            self._pvs.connect(self._connect_timeout_s)
            earlier, self._earlier = self._earlier, None
            if earlier is not None and earlier.is_running:
                earlier.abort()
                self._pvs.wait_until(lambda: not earlier.is_running, self._end_timeout_s)

        return JobStatus(f"connect {self.name} to {self._pvs.prefix}", connect)

    def unstage(self) -> JobStatus:
        """Leave nothing running: a run of ours that has not ended is stopped gracefully, an arming is given up."""
        return self._end(f"unstage {self.name}", ServiceRun.stop)

    # -- Preparable --------------------------------------------------------------------------------------------

    def prepare(self, value: ScanRequest) -> JobStatus:
        """Arm the service for one scan; done when it is ready for the first frame."""
        self._let_it_end()  # whoever guards an earlier run
        self._run, earlier = (run := ServiceRun(self._pvs, value, self._return_timeout_s)), self._arming
        self._documents = self._new_documents()

        def arm(_: JobStatus) -> None:
            self._wait_for(earlier)
            self._pvs.connect(self._connect_timeout_s)
            run.arm(self._arm_timeout_s, min(ANSWER_S, self._end_timeout_s))

        self._arming = JobStatus(f"arm {self._pvs.prefix} for scan {value.scan_id}", arm)
        return self._arming

    # -- Flyable -----------------------------------------------------------------------------------------------

    def kickoff(self) -> JobStatus:
        """Done at once, because the run began when it was armed; raises `StreamServiceError` if it was not."""
        self._armed_run()
        return JobStatus(f"kick off {self.name}", None)

    def complete(self) -> JobStatus:
        """Let the run end, or stop it when nothing more comes; done at its end state, with progress until then.

        Fails with the service's reason when the run FAILED or was ABORTED, or is INCOMPLETE and must not be.
        """
        self._let_it_end()

        def finish(status: JobStatus) -> None:
            run = self._armed_run()
            run.wait_for_end(status, self._quiet_s, self._end_timeout_s)
            is_incomplete = run.state is RunState.INCOMPLETE
            if run.state in UNSUCCESSFUL or (is_incomplete and self._require_complete):
                raise StreamServiceError(run.ending())
            if is_incomplete or self._pvs.number(ServicePV.FRAMES_UNEXPECTED):
                logger.warning("%s", run.ending())

        return JobStatus(f"complete {self.name}", finish)

    def abort(self) -> JobStatus:
        """End our run now, keeping the rows so far; nothing happens if it has ended or never began."""
        return self._end(f"abort {self.name}", ServiceRun.abort)

    def _end(self, what: str, put: Callable[[ServiceRun], None]) -> JobStatus:
        """End what is ours and has not ended: a run by `put`; one that is just being armed must not survive."""
        run, arming = self._let_it_end(), self._arming

        def end_now(status: JobStatus) -> None:
            self._wait_for(arming)
            if run is not None and run.is_running:
                put(run)
                run.wait_for_end(status, self._quiet_s, self._end_timeout_s, told=partial(put, run))

        is_arming = arming is not None and not arming.done
        return JobStatus(what, end_now if is_arming or (run is not None and run.is_running) else None)

    def _wait_for(self, arming: JobStatus | None) -> None:
        """Return when an arming that was told to end is decided. Raises `TimeoutError`."""
        if arming is not None and not arming.done:
            arming.exception(self._connect_timeout_s + self._arm_timeout_s)

    def guard(self) -> JobStatus:
        """Watch over our run while a plan works; fails with the reason when it ends without being told to.

        A plan that waits for a detector whose IOC has died waits for ever: it learns from this status that the service
        has given up. Done without an error when the run is complete, or `complete`, `unstage` or `abort` is called.
        """
        run = self._run

        def watch(_: JobStatus) -> None:
            if run is None:
                raise StreamServiceError(self._unarmed())
            run.watch_over()

        return JobStatus(f"guard the run of {self.name}", watch)

    def check(self) -> JobStatus:
        """Done when our run takes frames; waits for a service that is being started again.

        Fails with `StreamServiceError` if it does not: what is exposed now would not be stored.
        """
        run = self._run
        if run is not None and run.is_running and not run.is_away:
            return JobStatus(f"check the run of {self.name}", None)

        def check(_: JobStatus) -> None:
            if run is None:
                raise StreamServiceError(self._unarmed())
            run.check()

        return JobStatus(f"check the run of {self.name}", check)

    def _armed_run(self) -> ServiceRun:
        if self._run is None or not self._run.is_ours:
            raise StreamServiceError(self._unarmed())
        return self._run

    def _unarmed(self) -> str:
        return f"{self.name} is not armed: prepare it with a ScanRequest first"

    def _let_it_end(self) -> ServiceRun | None:
        """Tell whoever guards our run that it is to end."""
        if self._run is not None:
            self._run.is_told_to_end = True
            self._pvs.wake()
        return self._run

    # -- quality of rows ---------------------------------------------------------------------------------------

    @property
    def verdicts(self) -> RunVerdicts:
        """How the rows of our run stand."""
        return self._armed_run().verdicts.latest

    def wait_for_verdicts(self, n_positions: int, timeout_s: float) -> JobStatus:
        """Done when all rows of so many positions, repeats included, have been judged together, or after `timeout_s`.

        Rows of frames that were lost do not come: who waits finds out by `verdicts`. Fails when our run has ended.
        """

        def wait(_: JobStatus) -> None:
            run = self._armed_run()
            self._pvs.wait_until(lambda: not run.is_running or run.verdicts.has(n_positions), timeout_s)
            run.check()

        return JobStatus(f"wait for the verdicts of {self.name}", wait)

    def announce_repeats(self, positions: Sequence[int]) -> JobStatus:
        """Tell the service which planned positions are exposed again: all of the run, in order, before the exposures.

        Fails with the service's reason if it refuses.
        """

        def announce(_: JobStatus) -> None:
            run = self._armed_run()
            run.check()
            if refusal := run.verdicts.announce(tuple(positions), self._connect_timeout_s):
                raise StreamServiceError(refusal)

        return JobStatus(f"announce repeats to {self.name}", announce)

    # -- WritesStreamAssets, Collectable -----------------------------------------------------------------------

    def describe_collect(self) -> dict[str, DataKey]:
        """One data key: a stored row of the standardized file, (1, y, x) float32."""
        return self._documents.describe(self._pvs.text(ServicePV.FILE))

    def get_index(self) -> int:
        """Rows in the file that a reader can rely on."""
        return self._pvs.number(ServicePV.ROWS)

    def collect_asset_docs(self, index: int | None = None) -> Iterator[StreamAsset]:
        """Documents of the rows that have come since the last call, up to row `index`.

        None, unless the rows were declared as a stream (`describe_collect`), so that the device can also be read
        like any other.
        """
        rows = self.get_index()
        yield from self._documents.up_to(rows if index is None else min(rows, index), self._pvs.text(ServicePV.FILE))

    def _new_documents(self) -> RowDocuments:
        return RowDocuments(f"{self.name}_data", f"ca://{self._pvs.prefix}{ServicePV.FILE}")

    # -- Readable ----------------------------------------------------------------------------------------------

    def read(self) -> dict[str, Reading[Any]]:
        """State, file and the account of the frames of the newest run."""
        heard = {self._key(pv): self._pvs.latest(pv) for pv in RECORDED}
        return {key: Reading(value=update.value, timestamp=update.timestamp_s) for key, update in heard.items()}

    def describe(self) -> dict[str, DataKey]:
        """The same keys as `read`."""
        return {self._key(pv): self._data_key(pv) for pv in RECORDED}

    def _key(self, pv: ServicePV) -> str:
        return f"{self.name}_{pv.name.lower()}"

    def _data_key(self, pv: ServicePV) -> DataKey:
        is_text = pv.type.kind in (Kind.CHAR, Kind.ENUM)
        return DataKey(source=f"ca://{self._pvs.prefix}{pv}", dtype="string" if is_text else "integer", shape=[])

    def __repr__(self) -> str:
        return f"StreamServiceDevice({self._pvs.prefix!r}, name={self.name!r})"

"""The daemon: takes orders over CA, runs one run after another, and shows what they do.

The main loop only looks and decides, ten times a second; frames never pass through it. The state belongs to the newest
run; an older one may still be draining while the next is armed. SIGINT and SIGTERM finish the file in good order; a
second signal ends the run at once.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from p4p.client.thread import Context
from pydantic import ValidationError

from stream_service.channel_access.library import log_ca_exceptions
from stream_service.core.run import EndReason, RunState
from stream_service.errors import ConfigError, PtychostreamError
from stream_service.publishers.ca_server import CaServer
from stream_service.publishers.descriptors import raise_limit
from stream_service.publishers.pva_images import PvaImages
from stream_service.publishers.service_pvs import Command, Order
from stream_service.qc.maps import scan_map
from stream_service.run.live.live_run import LiveRun
from stream_service.run.live.run_sources import RunSources
from stream_service.run.status import ShownRow
from stream_service.service.afterwards import Afterwards
from stream_service.service.own_names import only_daemon_of, refuse_taken_names
from stream_service.service.standby import AutoRun, Standby
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.settings.service_status import NO_RUN, Health, Pace, RunStatus, ServiceStatus
from stream_service.settings.status_table import ServiceImage, ServicePV
from stream_service.sources.live.ca_detector import CaCounter
from stream_service.text.validation_messages import explain

log = logging.getLogger(__name__)

TICK_S = 0.1
IMAGES_S = 0.5


class Service:
    """One daemon for one beamline. `run` returns the exit code of the process."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._ca = CaServer(profile.service.prefix)
        self._images: PvaImages | None = None
        self._standby: Standby | None = None
        self._runs: list[LiveRun] = []
        self._endings: list[tuple[Order, LiveRun]] = []
        """Orders to end a run, which are answered when it has ended."""
        self._n_armed = 0
        self._arm_error = ""
        self._pace = Pace()
        counter_pv = profile.detector.counter_pv
        self._afterwards = Afterwards(lambda: CaCounter(counter_pv), profile.service.grace_s)
        self._signals = 0
        self._wake = threading.Event()
        self._images_at = 0.0
        self._row_on_screen: ShownRow | None = None
        self._map_on_screen = (0, 0)

    def end(self) -> None:
        """Ask the service to end, from a signal handler: the first time in good order, then at once."""
        self._signals += 1
        self._wake.set()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> int:
        """Serve until `end`; 0 if all is well, 1 if the last run failed or the service could not go on."""
        raise_limit()
        log_ca_exceptions()
        prefix = self._profile.service.prefix
        with only_daemon_of(prefix):
            refuse_taken_names(prefix, ServicePV, ServiceImage)
            return self._serve(on_ready)

    def _serve(self, on_ready: Callable[[], None]) -> int:
        self._ca.start()
        self._images = PvaImages(self._profile.service.prefix, ServiceImage)
        with Context("pva", nt=False) as pva:
            try:
                self._publish()
                on_ready()
                if self._profile.service.auto:
                    self._standby = self._make_standby(pva)
                while not self._signals and self._ca.is_alive:
                    self._take_orders(pva)
                    self._stand_by()
                    self._publish()
                    self._images.make_room()
                    self._wake.wait(TICK_S)
            finally:  # whatever ends the service, no file is left open
                if self._standby is not None:
                    self._standby.dismiss()
                self._end_runs()
        if not self._ca.is_alive:
            log.error("the CA server of the service died; the run was finished, the service ends")
            return 1
        self._refuse_to_arm()
        self._publish()
        self._afterwards.close()
        self._ca.close()
        self._images.close()
        return int(self._newest.state is RunState.FAILED)

    @property
    def _newest(self) -> RunStatus:
        return self._runs[-1].status() if self._runs else NO_RUN

    @property
    def _counter_at_end(self) -> int | None:
        """Of the newest run, as long as what the detector does after it is in no file."""
        is_next_armed = self._standby is not None and self._standby.is_armed
        return None if is_next_armed or not self._runs else self._runs[-1].counter_at_end

    def _take_orders(self, pva: Context) -> None:
        """Take what was ordered, up to one arming: the next has to wait a tick, so that its answer is heard first."""
        while True:
            try:
                order = self._ca.orders.get_nowait()
            except queue.Empty:
                return
            if order.command is Command.ARM:
                self._arm(order, pva)
                return
            self._end_newest(order)

    def _end_newest(self, order: Order) -> None:
        if not self._runs:
            log.info("%s: there is no run", order.command)
            self._ca.answer(order)
            return
        run = self._runs[-1]
        if order.command is Command.STOP:
            run.stop()
        else:
            run.abort()
        self._endings.append((order, run))

    def _arm(self, order: Order, pva: Context) -> None:
        self._arm_error = ""
        self._publish()  # so that the same refusal again is an update, too
        try:
            request = parse_request(order.request, self._profile)
            self._make_way()
            run = LiveRun(self._n_armed + 1, self._profile, request, RunSources(self._profile, pva))
            run.arm()
            run.start()
        except PtychostreamError as error:
            self._arm_error = str(error)
            log.error("cannot arm: %s", error)
        else:
            self._add(run)
            log.info("armed for %s", run.request.scan_id)
        self._publish()
        self._ca.answer(order)

    def _refuse_to_arm(self) -> None:
        """Answer what is ordered while the service ends; what is to end a run ends it."""
        with contextlib.suppress(queue.Empty):
            while True:
                order = self._ca.orders.get_nowait()
                if order.command is not Command.ARM:
                    self._end_newest(order)
                    continue
                self._arm_error = "the service is ending: arm it when it has been started again"
                self._publish()
                self._ca.answer(order)

    def _make_way(self) -> None:
        """Let a plan's run be the next: one that auto mode began by itself is finished, any other is in the way."""
        newest = self._runs[-1] if self._runs else None
        if newest is not None and newest.state in (RunState.ARMED, RunState.RECEIVING):
            if not isinstance(newest, AutoRun):
                raise ConfigError(
                    f"run {newest.request.scan_id} is still {newest.state}: stop or abort it before arming the next"
                )
            newest.stop()
        if self._standby is not None:
            self._standby.dismiss()

    def _add(self, run: LiveRun) -> None:
        self._n_armed += 1
        run.run_number = self._n_armed
        self._runs = [earlier for earlier in self._runs if not earlier.join(0)] + [run]

    def _make_standby(self, pva: Context) -> Standby:
        def make_run(request: ScanRequest) -> LiveRun:
            return AutoRun(0, self._profile, request, RunSources(self._profile, pva))

        return Standby(make_run, self._profile.preprocessing.frames_per_position)

    def _stand_by(self) -> None:
        if self._standby is None:
            return
        if (begun := self._standby.take_begun()) is not None:
            self._add(begun)
        if all(run.state.has_ended for run in self._runs):
            self._standby.renew(time.monotonic())

    def _publish(self) -> None:
        ended = [(order, run) for order, run in self._endings if run.state.has_ended]
        now = time.monotonic()
        status = self._afterwards.told(self._newest, self._counter_at_end, now)
        busy = any(not run.state.has_ended for run in self._runs)
        health = Health.BUSY if busy else Health.FAULTED if status.state is RunState.FAILED else Health.READY
        self._pace = self._pace.at(status, now)
        is_standing_by = self._standby is not None and self._standby.is_armed
        self._ca.publish(ServiceStatus(health, status, self._pace, self._arm_error, is_standing_by, now))
        for ending in ended:
            self._endings.remove(ending)
            self._ca.answer(ending[0])
        self._show_images(now)

    def _show_images(self, now: float) -> None:
        if self._images is None or not self._runs or now - self._images_at < IMAGES_S:
            return
        self._images_at = now
        run = self._runs[-1]
        shown = run.shown_row
        if shown is not None and shown is not self._row_on_screen:
            self._row_on_screen = shown
            self._images.post(ServiceImage.FRAME, shown.pixels, {"run": float(run.run_number), "row": float(shown.row)})
        table = run.scan_table()
        if len(table) and (run.run_number, len(table)) != self._map_on_screen:
            self._map_on_screen = (run.run_number, len(table))
            stxm = scan_map(table[:, 0], table[:, 1], table[:, 2])
            of_run = {"run": float(run.run_number)}
            self._images.post(
                ServiceImage.STXM, stxm.image, of_run | {"pixel_m": stxm.pixel_m, "x0_m": stxm.x0_m, "y0_m": stxm.y0_m}
            )

    def _end_runs(self) -> None:
        for run in self._runs:
            run.stop(EndReason.SERVICE_ENDED)
        while any(not run.join(TICK_S) for run in self._runs):
            self._refuse_to_arm()
            self._publish()
            if self._signals > 1:
                for run in self._runs:
                    run.abort()


def parse_request(text: str, profile: Profile) -> ScanRequest:
    """The request of a plan; what it leaves open of the frames per position is as the profile says."""
    try:
        request = ScanRequest.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(f"the request is wrong:\n{explain(error)}") from error
    if "frames_per_position" in request.model_fields_set:
        return request
    return request.model_copy(update={"frames_per_position": profile.preprocessing.frames_per_position})

"""The daemon: takes orders over CA, runs one run after another, and shows what they do.

The main loop only looks and decides, ten times a second, and never waits: runs are armed and work in threads of their
own. The state belongs to the newest run; an older one may still be draining while the next is armed. SIGINT and SIGTERM
stop gracefully: the file is drained and closed; a second signal ends the run at once.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from stream_service.channel_access.library import log_ca_exceptions
from stream_service.compilation import tell_of_compilation
from stream_service.core.pairing.trigger_alignment import warm_up as warm_up_alignment
from stream_service.core.run import EndReason, RunState
from stream_service.errors import ConfigError
from stream_service.processes.heap import share_one_heap
from stream_service.publishers.ca_server import CaServer
from stream_service.publishers.descriptors import raise_limit
from stream_service.publishers.service_pvs import Command, Order
from stream_service.run.live.beamline_monitors import BeamlineMonitors
from stream_service.run.live.live_journal import journal_folder
from stream_service.run.rows.row_quality import warm_up as warm_up_judgement
from stream_service.run.run import Run
from stream_service.run.run_file import versions
from stream_service.run.settings import warm_up
from stream_service.service.afterwards import Afterwards
from stream_service.service.arming_queue import ArmingQueue
from stream_service.service.data_disk import absence
from stream_service.service.faces import Faces
from stream_service.service.own_names import only_daemon_of, only_owner_of, refuse_taken_names
from stream_service.service.requests import parse_request, parsed
from stream_service.service.run_maker import RunMaker
from stream_service.service.standby import AutoSetup, Standby
from stream_service.service.status_of_now import StatusOfNow
from stream_service.service.unfinished_runs import UnfinishedRuns
from stream_service.settings.profile import Profile
from stream_service.settings.request import RepeatRequest
from stream_service.settings.service_status import RunStatus, ServiceStatus
from stream_service.settings.status_table import STATUS, ServiceImage, ServicePV, ServiceTable
from stream_service.sources.live.ca_detector import CaCounter

log = logging.getLogger(__name__)

TICK_S = 0.1
REPORT_S = 5.0
"""For the report of the last run, when the service ends: on a machine that has nothing else to do it takes 3 s."""
ENDING = "refused, because the service is ending: arm it when it has been started again"


class Service:
    """One daemon for one beamline. `run` returns the exit code of the process."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._ca = CaServer(profile.service.prefix)
        self._faces = Faces(profile.service)
        self._standby: Standby | None = None
        self._runs: list[Run] = []
        self._endings: list[tuple[Order, Run]] = []
        """Orders to end a run, which are answered when it has ended."""
        self._n_armed = 0
        self._arm_error = ""
        self._defects: dict[str, str] = {}
        """What cannot be done now, and why."""
        counter_pv = profile.detector.counter_pv
        self._afterwards = Afterwards(lambda: CaCounter(counter_pv), profile.service.grace_s)
        self._of_now = StatusOfNow(profile.service.data_root)
        self._maker = RunMaker(profile, self._faces.news, (self._of_now.latencies,), self._of_now.disk)
        self._signals = 0
        self._wake = threading.Event()
        self._to_arm = ArmingQueue(self._make_run, self._decided, self._wake.set)
        self._unfinished = UnfinishedRuns(profile, self._maker.resumed, self._resume, self._wake.set)

    def end(self) -> None:
        """Ask the service to end, from a signal handler: the first time gracefully, then at once."""
        self._signals += 1
        self._wake.set()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> int:
        """Serve until `end`; 0 if all is well, 1 if the last run failed or the service could not go on."""
        raise_limit()
        share_one_heap()
        log_ca_exceptions()
        prefix = self._profile.service.prefix
        with only_daemon_of(prefix):
            refuse_taken_names(prefix, ServicePV, (*STATUS, *ServiceImage, *ServiceTable))
            self._faces.take_ports()
            with only_owner_of(journal_folder(self._profile)):
                self._warm_up()
                return self._serve(on_ready)

    def _warm_up(self) -> None:
        """Load all that the first run needs, or compile it where the cache has none, before a run can be ordered."""
        log.info("loading the kernels")
        tell_of_compilation(log.info)
        preprocessing = self._profile.preprocessing
        warm_up(preprocessing, preprocessing.frames_per_position, None)
        warm_up_judgement()
        if any(rule.times for rule in self._profile.rules()):
            warm_up_alignment()
        versions()

    def _serve(self, on_ready: Callable[[], None]) -> int:
        self._unfinished.find()
        if problem := absence(self._profile.service.data_root):
            log.warning("%s", problem)
        self._n_armed = self._unfinished.highest_number
        self._ca.start(self._status_at(time.monotonic()))
        self._faces.start(self._status_at(time.monotonic()))
        with closing(BeamlineMonitors(self._profile)) as self._maker.monitors:
            try:
                self._of_now.start(self._maker.monitors)
                self._publish()
                self._faces.systemd.ready()
                on_ready()
                if self._profile.service.auto:
                    self._standby = Standby(self._maker.auto, self._profile.preprocessing.frames_per_position)
                while not self._signals and self._ca.is_alive:
                    self._turn()
                    self._wake.wait(TICK_S)
                    self._wake.clear()
            finally:  # whatever ends the service, no file is left open
                self._faces.systemd.stopping()
                self._unfinished.close()
                self._to_arm.cancel(ENDING)
                if self._standby is not None:
                    self._standby.close()
                self._end_runs()
                self._to_arm.join()
                self._end_reports()
                self._of_now.close()
        if not self._ca.is_alive:
            log.error("the CA server of the service died; the run was finished, the service ends")
            return 1
        self._refuse_to_arm()
        self._publish()
        self._afterwards.close()
        self._ca.close()
        self._faces.close()
        return int(self._has_failed)

    def _turn(self) -> None:
        """One turn of the main loop; a turn that does not come to its end feeds no watchdog."""
        self._attempt("orders cannot be carried out", self._obey)
        self._attempt("auto mode cannot go on", self._stand_by)
        self._publish()
        self._faces.systemd.turned(time.monotonic())

    @property
    def _has_failed(self) -> bool:
        """True if the newest run of this service has."""
        return bool(self._runs) and self._runs[-1].state is RunState.FAILED

    @property
    def _newest(self) -> RunStatus:
        if (unfinished := self._unfinished.status) is not None:
            return unfinished
        return self._runs[-1].status() if self._runs else self._unfinished.no_run

    @property
    def _counter_at_end(self) -> int | None:
        """Of the newest run, as long as what the detector does after it is in no file."""
        is_next_armed = self._standby is not None and self._standby.is_armed
        return None if is_next_armed or not self._runs else self._runs[-1].counter_at_end

    def _attempt(self, what: str, step: Callable[[], None]) -> None:
        """Take one step of the main loop. A defect in it ends nothing else; it is logged, and shown while it lasts."""
        try:
            step()
            self._defects.pop(what, None)
        except Exception as error:  # the one place where a defect of the service is kept from the runs
            log.exception("%s: a defect of the service", what)
            self._defects[what] = f"{what}: a defect of the service, {error!r}, see its log"

    def _obey(self) -> None:
        self._unfinished.look()
        if self._unfinished.is_working:  # orders are about the run that goes on, or come after it
            return
        self._to_arm.look()
        self._take_orders()
        self._to_arm.begin_next(self._forget_arm_error)

    def _take_orders(self) -> None:
        """Take what was ordered: runs are armed one after the other, what ends them overtakes."""
        with contextlib.suppress(queue.Empty):
            while True:
                order = self._ca.orders.get_nowait()
                match order.command:
                    case Command.ARM:
                        self._to_arm.add(order)
                    case Command.REPEAT:
                        self._repeat(order)
                    case _:
                        self._end_newest(order)

    def _repeat(self, order: Order) -> None:
        """Let the newest run know which positions it gets once more, or say why it cannot take them."""
        self._forget_arm_error()
        try:
            repeat = parsed(RepeatRequest, order.request)
            if not self._runs or self._newest.scan_id != repeat.scan_id:
                raise ConfigError(f"{repeat.scan_id} is not the newest run, whose positions alone can be repeated")
            self._runs[-1].repeat(repeat.positions)
        except ConfigError as error:
            self._arm_error = str(error)
            log.error("no repeat: %s", error)
        self._publish()
        self._ca.answer(order)

    def _end_newest(self, order: Order) -> None:
        """Stop or abort the newest run; one that is being armed is given up, and with it those ordered since."""
        self._to_arm.look()  # what has just been armed is the newest run
        if self._to_arm:
            self._to_arm.cancel(f"given up, because {order.command} was put while it was armed")
            self._ca.answer(order)
            return
        if not self._runs:
            log.info("%s: there is no run", order.command)
            self._ca.answer(order)
            return
        run = self._runs[-1]
        self._endings.append((order, run))
        if order.command is Command.STOP:
            run.stop()
        else:
            run.abort()

    def _forget_arm_error(self) -> None:
        """So that the same refusal again is an update, too."""
        self._arm_error = ""
        self._publish()

    def _make_run(self, order: Order) -> Run:
        """The run of an order, not armed yet; called in the thread of the arming."""
        request = parse_request(order.request, self._profile)
        self._make_way()
        return self._maker.ordered(request)

    def _resume(self, run: Run, number: int | None) -> None:
        """Let a run go on."""
        before = run.status()
        run.start()
        self._add(run, number)
        self._faces.resumed(before, run)
        with run.logged.lines():
            log.info("%s goes on", run.setup.scan_id)

    def _decided(self, order: Order, run: Run | None, error: str) -> None:
        """Let an armed run work, or say why there is none; then the order is answered, whatever happens."""
        try:
            if run is None:
                log.error("cannot arm: %s", error)
            else:
                run.start()
                self._add(run)
                with run.logged.lines():
                    log.info("armed for %s", run.setup.scan_id)
        finally:
            self._arm_error = error
            self._publish()
            self._ca.answer(order)

    def _refuse_to_arm(self) -> None:
        """Answer what is ordered while the service ends; what is to end a run ends it."""
        with contextlib.suppress(queue.Empty):
            while True:
                order = self._ca.orders.get_nowait()
                match order.command:
                    case Command.ARM:
                        self._decided(order, None, f"the arming was {ENDING}")
                    case Command.REPEAT:
                        self._repeat(order)
                    case _:
                        self._end_newest(order)

    def _make_way(self) -> None:
        """Let a plan's run be the next: one that auto mode began by itself is finished, any other is in the way.

        Called in the thread of the arming, while the main loop leaves standby alone.
        """
        newest = self._runs[-1] if self._runs else None
        if newest is not None and newest.state in (RunState.ARMED, RunState.RECEIVING):
            if not isinstance(newest.setup, AutoSetup):
                raise ConfigError(
                    f"run {newest.setup.scan_id} is still {newest.state}: stop or abort it before arming the next"
                )
            newest.stop()
        if self._standby is not None:
            self._standby.dismiss()

    def _add(self, run: Run, number: int | None = None) -> None:
        """Take a run that works; one that was resumed keeps its number."""
        if number is None:
            self._n_armed += 1
        run.run_number = self._n_armed if number is None else number
        run.logged.number = run.run_number
        run.setup.journal.numbered(run.run_number)
        ended = [earlier for earlier in self._runs if earlier.join(0)]
        self._faces.began(run, self._runs)
        self._runs = [earlier for earlier in self._runs if earlier not in ended] + [run]

    def _stand_by(self) -> None:
        if self._standby is None or self._to_arm.is_arming or self._unfinished.is_working:
            return
        if (begun := self._standby.take_begun()) is not None:
            self._add(begun)
        if all(run.state.has_ended for run in self._runs):
            self._standby.renew(time.monotonic())

    def _publish(self) -> None:
        """Show how everything is, and answer what has been done."""
        is_held = self._standby is not None and self._standby.is_getting_ready
        ended = [] if is_held else [(order, run) for order, run in self._endings if run.state.has_ended]
        self._attempt("reports cannot be made", self._report)
        self._attempt("the status cannot be shown", self._show_status)
        self._attempt("the images cannot be shown", self._show_images)
        self._attempt("the messages cannot be sent", self._faces.news.tell_ends)
        for ending in ended:
            self._endings.remove(ending)
            self._ca.answer(ending[0])

    def _report(self) -> None:
        self._faces.reports.look()
        self._of_now.report = self._faces.reports.newest

    def _show_status(self) -> None:
        status = self._status_at(time.monotonic())
        self._ca.publish(status)
        self._faces.publish(status, self._runs)

    def _status_at(self, now: float) -> ServiceStatus:
        status = self._afterwards.told(self._newest, self._counter_at_end, now)
        if status.state.has_ended and self._standby is not None and self._standby.is_getting_ready:
            status = replace(status, state=RunState.DRAINING)
        if self._to_arm.message:
            status = replace(status, message=self._to_arm.message)
        is_resuming = self._unfinished.is_working
        return self._of_now.status(
            now,
            status,
            is_busy=self._to_arm.is_arming or is_resuming or any(not run.state.has_ended for run in self._runs),
            has_failed=self._has_failed,
            defects=self._defects,
            arm_error=self._arm_error,
            is_standing_by=self._standby is not None and self._standby.is_armed,
            is_resuming=is_resuming,
        )

    def _show_images(self) -> None:
        self._faces.show(self._runs[-1] if self._runs else None)

    def _end_runs(self) -> None:
        for run in self._runs:
            run.stop(EndReason.SERVICE_ENDED)
        while any(not run.join(TICK_S) for run in self._runs):
            self._refuse_to_arm()
            self._publish()
            self._faces.systemd.turned(time.monotonic())
            if self._signals > 1:
                for run in self._runs:
                    run.abort()

    def _end_reports(self) -> None:
        """Wait a moment for the report of the last run, and show where it is."""
        self._publish()  # of a run that has ended since it was shown last, it begins here
        end_s = time.monotonic() + REPORT_S
        while self._faces.reports.is_busy and self._signals < 2 and time.monotonic() < end_s:
            self._publish()
            self._wake.wait(TICK_S)
            self._wake.clear()
        self._faces.reports.close()

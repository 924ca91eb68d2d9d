"""The daemon that is told to end while a run goes on: what is ordered meanwhile is done, or refused."""

from __future__ import annotations

import asyncio
import queue
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stream_service.core.run import RunState
from stream_service.publishers.service_pvs import Command, Order
from stream_service.service import daemon
from stream_service.service.reports import RunReports
from stream_service.settings.service_status import NO_RUN, ServiceStatus
from stream_service.text.log_of_run import LoggedRun


class Ca:
    """The PVs as clients see them."""

    def __init__(self, prefix: str) -> None:
        self.orders: queue.Queue[Order] = queue.Queue()
        self.answered: list[tuple[Command, str]] = []
        """Commands with the `State` that stood when their put was complete."""
        self.shown: ServiceStatus

    def publish(self, status: ServiceStatus) -> None:
        self.shown = status

    def answer(self, order: Order) -> None:
        self.answered.append((order.command, self.shown.run.state))

    def order(self, command: Command) -> None:
        self.orders.put(Order(command, "{}", asyncio.Event()))


class DrainingRun:
    """Waits for frames in flight until it is aborted, or for `n_looks`."""

    run_number, shown_row, counter_at_end = 1, None, None
    setup: Any
    logged: LoggedRun

    def __init__(self, n_looks: int) -> None:
        self.state, self._n_looks = RunState.DRAINING, n_looks

    def stop(self, *_: Any) -> None: ...

    def abort(self) -> None:
        self.state = RunState.ABORTED

    def join(self, timeout_s: float | None = None) -> bool:
        self._n_looks -= 1
        if not self._n_looks and self.state is RunState.DRAINING:
            self.state = RunState.COMPLETE
        return self.state.has_ended

    def status(self) -> Any:
        return replace(NO_RUN, run_number=1, state=self.state)

    n_scanned = 0


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> daemon.Service:
    monkeypatch.setattr(daemon, "CaServer", Ca)
    profile = SimpleNamespace(
        service=SimpleNamespace(prefix="X:", grace_s=1.0, frame_queue_MiB=1.0, data_root=Path()),
        detector=SimpleNamespace(counter_pv="X:counter"),
    )
    return daemon.Service(profile)  # type: ignore[arg-type]


def test_run_that_the_end_of_the_service_ends_is_reported(service, tmp_path):
    """However soon it ends: between two turns of the main loop it was missed, and no line of the log told that."""
    run, file = DrainingRun(n_looks=1), tmp_path / "scan_std.h5"
    file.touch()
    run.setup, run.logged = SimpleNamespace(path=file), LoggedRun("scan", 1)
    service._runs = [run]
    reports = service._faces.reports = RunReports(lambda path, _: path.with_suffix(".html"))
    reports.watch(run)
    service._end_runs()
    service._end_reports()
    service._publish()
    assert service._of_now.report == str(tmp_path / "scan_std.html")


@pytest.mark.parametrize(("command", "state"), [(Command.ABORT, "ABORTED"), (Command.STOP, "COMPLETE")])
def test_order_to_end_a_run_is_done_before_it_is_answered(service, command, state):
    service._runs = [DrainingRun(n_looks=50)]
    service._ca.order(command)
    service._end_runs()
    service._refuse_to_arm()
    service._publish()
    assert service._ca.answered == [(command, state)]


def test_arming_is_refused(service):
    service._runs = [DrainingRun(n_looks=50)]
    service._ca.order(Command.ARM)
    service._end_runs()
    assert service._ca.answered == [(Command.ARM, "DRAINING")]
    assert "the service is ending" in service._ca.shown.arm_error

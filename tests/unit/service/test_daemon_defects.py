"""A defect in what shows the service is told, and ends nothing: the daemon goes on and can be armed."""

from __future__ import annotations

import asyncio
import logging
import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_run import profile_for

from stream_service.publishers.ca_server import CaServer
from stream_service.publishers.service_pvs import Command, Order
from stream_service.service import daemon
from stream_service.service.daemon import Service
from stream_service.settings.service_status import ServiceStatus, Severity
from stream_service.settings.status_table import ServicePV


class Shown:
    """A CA server that only keeps what was published last."""

    def __init__(self) -> None:
        self.status: ServiceStatus
        self.answered: list[Any] = []
        self.publish_defect: Exception | None = None

    def publish(self, status: ServiceStatus) -> None:
        self.status = status
        if self.publish_defect is not None:
            raise self.publish_defect

    def answer(self, order: Any) -> None:
        self.answered.append(order)


class BrokenPictures:
    def __init__(self) -> None:
        self.is_broken = True

    def publish(self, status: ServiceStatus) -> None: ...

    def show(self, run: Any, now_s: float) -> None:
        if self.is_broken:
            raise IndexError("injected")


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(daemon, "CaServer", lambda prefix: Shown())
    return daemon.Service(profile_for(tmp_path))


def test_heartbeat_counts_from_the_start_of_the_service_not_of_the_machine(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    began_s = daemon.time.monotonic()
    monkeypatch.setattr(daemon.time, "monotonic", lambda: began_s + 1000.0)
    service._publish()
    shown: Any = service._ca
    assert ServicePV.HEARTBEAT.value_in(shown.status) in range(1000, 1060)


def test_defect_of_the_images_is_told_and_taken_back(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    shown: Any = service._ca
    service._faces._pva = pictures = BrokenPictures()  # type: ignore[assignment]
    with caplog.at_level(logging.ERROR):
        service._publish()
    assert caplog.records[0].exc_info is not None
    service._publish()
    assert "the images cannot be shown: a defect of the service, IndexError('injected')" in shown.status.run.message
    assert shown.status.run.severity is Severity.MAJOR
    pictures.is_broken = False
    service._publish()
    service._publish()
    assert "cannot be shown" not in shown.status.run.message and shown.status.run.severity is Severity.NONE


def test_defect_of_the_status_holds_up_no_answer(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    shown: Any = service._ca
    shown.publish_defect = OverflowError("injected")
    ended = SimpleNamespace(state=SimpleNamespace(has_ended=True))
    service._endings = [("an order", ended)]  # type: ignore[list-item]
    with caplog.at_level(logging.ERROR):
        service._publish()
    assert shown.answered == ["an order"] and "injected" in caplog.text
    shown.publish_defect = None
    service._publish()
    assert "the status cannot be shown" in shown.status.run.message


def test_defect_in_carrying_out_orders_is_told_and_the_next_are_carried_out(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    shown: Any = service._ca
    shown.orders = queue.Queue()

    def broken() -> None:
        raise KeyError("injected")

    look, service._to_arm.look = service._to_arm.look, broken  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        service._attempt("orders cannot be carried out", service._obey)
    assert caplog.records[0].exc_info is not None
    service._publish()
    assert "orders cannot be carried out: a defect of the service, KeyError('injected')" in shown.status.run.message
    service._to_arm.look = look  # type: ignore[method-assign]
    shown.orders.put(stop := Order(Command.STOP, "", asyncio.Event()))
    service._attempt("orders cannot be carried out", service._obey)
    service._publish()
    assert shown.answered == [stop] and shown.status.run.severity is Severity.NONE


def test_order_to_arm_is_answered_even_if_its_run_cannot_begin(service: Service) -> None:
    def broken() -> None:
        raise KeyError("injected")

    order: Any = "an order"
    with pytest.raises(KeyError):
        service._decided(order, SimpleNamespace(start=broken), "")  # type: ignore[arg-type]
    assert service._ca.answered == [order]  # type: ignore[attr-defined]


def test_value_that_cannot_be_posted_is_raised_where_it_is_contained(service: Service) -> None:
    """In the thread of the CA server it would be lost, and with it all that was to be posted after it."""
    server = CaServer("DEFECT:")
    status = service._status_at(0.0)
    done: Any = SimpleNamespace(cancelled=lambda: False, exception=lambda: ValueError("injected"))
    server._note(done)
    with pytest.raises(ValueError, match="injected"):
        server.publish(status)
    server.publish(status)
    server._loop.close()

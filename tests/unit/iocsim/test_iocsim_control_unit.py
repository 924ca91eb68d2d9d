"""The control unit: what it keeps for who pulls, what it loses, how it numbers its series, and what a restart costs."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import zmq
from announced_series import an_image, announced
from limits import HANG_S

from iocsim.faults import Faults
from iocsim.pv import PvTable
from iocsim.zmq.address import Address
from iocsim.zmq.control_unit import ControlUnit
from iocsim.zmq.simplon import SimplonSeries
from iocsim.zmq.socket import SenderSocket
from stream_service.testing.loopback import free_port

SERIES = announced().series
IMAGE = an_image()


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture
def unit(endpoint: str) -> Iterator[Callable[..., ControlUnit]]:
    made: list[ControlUnit] = []

    def make(n_kept: int = 100, faults: Faults | None = None) -> ControlUnit:
        socket = SenderSocket(Address.of_push(endpoint), high_water_mark=1)
        unit = ControlUnit(
            PvTable(""),
            "Simplon",
            lambda: faults or Faults(),
            socket,
            lambda one: SimplonSeries(one, "none", "none"),
            n_kept,
        )
        made.append(unit)
        return unit

    yield make
    for one in made:
        one.close()


@pytest.fixture
def puller(endpoint: str) -> Iterator[Callable[[], zmq.Socket]]:
    context, made = zmq.Context(), []

    def make() -> zmq.Socket:
        socket = context.socket(zmq.PULL)
        made.append(socket)
        socket.set(zmq.RCVTIMEO, round(1e3 * HANG_S))
        socket.connect(endpoint)
        return socket

    yield make
    for socket in made:
        socket.close(0)
    context.term()


def take(unit: ControlUnit, *ids: int) -> None:
    """A series with images of these uniqueIds."""
    unit.begin(SERIES)
    for number, unique_id in enumerate(ids):
        unit.process(replace(IMAGE, unique_id=unique_id, number=number))
    unit.end()


def pulled(socket: zmq.Socket, n: int) -> list[tuple[str, int, int | None]]:
    """Kind, series and frame of so many messages."""
    heads: list[dict[str, Any]] = [json.loads(socket.recv_multipart()[0]) for _ in range(n)]
    return [(head["htype"].split("-")[0], head["series"], head.get("frame")) for head in heads]


def test_series_and_images_are_counted_and_wait_for_who_pulls_later(unit, puller):
    sender = unit()
    take(sender, 5, 6)
    take(sender, 7)
    assert pulled(puller(), 7) == [
        ("dheader", 1, None),
        ("dimage", 1, 0),
        ("dimage", 1, 1),
        ("dseries_end", 1, None),
        ("dheader", 2, None),
        ("dimage", 2, 0),
        ("dseries_end", 2, None),
    ]


def test_messages_that_find_the_queue_full_are_lost_and_counted(unit, puller):
    sender = unit(n_kept=3)
    take(sender, 1, 2, 3, 4)
    assert sender.n_dropped == 3
    assert pulled(puller(), 3) == [("dheader", 1, None), ("dimage", 1, 0), ("dimage", 1, 1)]


def test_faults_are_those_of_the_table_and_what_is_held_back_leaves_before_the_end(unit, puller):
    faults = Faults(1, drop_ids=frozenset({1}), duplicate_ids=frozenset({2}), reorder=20)
    take(unit(faults=faults), 1, 2, 3, 4)
    start, *images, end = pulled(puller(), 6)
    assert (start[0], end[0]) == ("dheader", "dseries_end")
    assert sorted(images) == [("dimage", 1, 1), ("dimage", 1, 1), ("dimage", 1, 2), ("dimage", 1, 3)]


def test_after_a_restart_the_series_under_way_is_over_and_the_next_is_number_1(unit, puller):
    sender, socket = unit(), puller()
    take(sender, 1)
    sender.begin(SERIES)
    assert pulled(socket, 4)[-1] == ("dheader", 2, None)
    sender.restart()
    assert sender.process(IMAGE) == 0
    sender.end()
    take(sender, 3)
    assert pulled(socket, 3) == [("dheader", 1, None), ("dimage", 1, 0), ("dseries_end", 1, None)]


def test_what_nobody_has_pulled_is_lost_with_a_restart(unit, puller):
    sender = unit()
    take(sender, 1, 2)
    sender.restart()
    take(sender, 3)
    assert pulled(puller(), 3) == [("dheader", 1, None), ("dimage", 1, 0), ("dseries_end", 1, None)]

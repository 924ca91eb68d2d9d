"""A subscription to frames beside a real PVA server."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from limits import HANG_S
from p4p.client.raw import Context
from p4p.nt import NTNDArray
from p4p.server import Server
from p4p.server.thread import SharedPV

from stream_service.run.live.frame_transport import PvaTransport
from stream_service.settings.beamlines import load_named_profile
from stream_service.sources.live import pva_queue
from stream_service.sources.live.pva_frames import PvaSource
from stream_service.sources.live.pva_queue import Received
from stream_service.testing.loopback import LOOPBACK, LoopbackEpics

CHANNEL = "T:Image"
BUDGET_BYTES = 4 << 20
"""Of the transport's queue: 1,000 updates of these small frames."""


def wait_until(claim: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + HANG_S
    while not claim():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.fixture
def image() -> SharedPV:
    return SharedPV(nt=NTNDArray(), initial=np.zeros((6, 8), np.uint16))


def clients_of(conf: dict[str, str]) -> Callable[[], Context]:
    return lambda: Context("pva", conf=conf, useenv=False, nt=False)


@pytest.fixture
def clients(image: SharedPV) -> Iterator[Callable[[], Context]]:
    with Server(providers=[{CHANNEL: image}], isolate=True) as server:
        yield clients_of(server.conf())


@pytest.fixture
def frames(clients: Callable[[], Context]) -> Iterator[PvaSource]:
    with closing(PvaSource(clients, CHANNEL, BUDGET_BYTES)) as frames:
        frames.start()
        frames.begin()
        yield frames


def take(frames: PvaSource, n: int) -> list[Received]:
    """The next `n` updates."""
    taken: list[Received] = []

    def has_all() -> bool:
        taken.extend(frames.queue.take(0.1, n - len(taken)))
        return len(taken) == n

    wait_until(has_all)
    return taken


def test_last_frame_before_tells_what_comes(frames: PvaSource) -> None:
    assert frames.is_connected and frames.latest_frame() is not None
    assert (frames.begin().shape, frames.begin().dtype) == ((6, 8), np.uint16)


def test_frames_are_taken_in_order_however_long_they_wait(image: SharedPV, frames: PvaSource) -> None:
    for number in range(300):
        image.post(np.full((6, 8), number, np.uint16))
    pixels = [int(frames.decode(received).pixels[0, 0]) for received in take(frames, 300)]
    assert pixels == list(range(300))
    assert frames.queue.held_bytes == 0 and len(frames.queue) == 0


def test_frame_that_may_have_waited_is_told_from_one_that_came_just_now(
    image: SharedPV, frames: PvaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pva_queue, "PROMPT_S", HANG_S)  # the signal may be on its way still
    for _ in range(2):
        posted_s = time.monotonic()
        first, *others = came_together(image, frames)
        assert not first.waited_s, "it was the one that was signalled"
        assert posted_s <= first.received_s <= min(frame.received_s for frame in others)


def came_together(image: SharedPV, frames: PvaSource) -> list[Any]:
    for _ in range(3):
        image.post(np.ones((6, 8), np.uint16))
    wait_until(lambda: len(frames.queue) == 3)
    return [frames.decode(received) for received in take(frames, 3)]


def test_take_ends_when_it_is_woken(frames: PvaSource) -> None:
    waiting = threading.Thread(target=frames.queue.take, args=(HANG_S,))
    waiting.start()
    while waiting.is_alive():
        frames.queue.wake()
        waiting.join(0.01)


def test_what_has_come_can_be_taken_after_the_end(image: SharedPV, frames: PvaSource) -> None:
    image.post(np.ones((6, 8), np.uint16))
    wait_until(lambda: len(frames.queue) == 1)
    frames.close()
    image.post(np.ones((6, 8), np.uint16))
    assert len(frames.queue.take(0.0)) == 1
    assert frames.queue.take(0.0) == []


def test_channel_that_goes_and_comes_back_is_told(image: SharedPV, caplog: pytest.LogCaptureFixture) -> None:
    server = Server(providers=[{CHANNEL: image}], isolate=True)
    conf = server.conf()
    with closing(PvaSource(clients_of(conf), CHANNEL, BUDGET_BYTES)) as f:
        f.start()
        server.stop()
        wait_until(lambda: not f.queue.take(0.01) and not f.is_connected)
        assert "does not answer over PVA any more" in caplog.text
        with Server(providers=[{CHANNEL: image}], conf=conf, useenv=False):
            wait_until(lambda: not f.queue.take(0.01) and f.is_connected)


class NameServer:
    """The server of the channel, which is asked by TCP: by a client that lost it only 10 s later."""

    def __init__(self, image: SharedPV, port: int) -> None:
        self._providers = [{CHANNEL: image}]
        self._conf = dict.fromkeys(("EPICS_PVAS_SERVER_PORT", "EPICS_PVAS_BROADCAST_PORT"), str(port))
        self._conf |= dict.fromkeys(("EPICS_PVAS_INTF_ADDR_LIST", "EPICS_PVAS_BEACON_ADDR_LIST"), LOOPBACK)
        self._conf["EPICS_PVAS_AUTO_BEACON_ADDR_LIST"] = "NO"
        self._server = self._serve()

    def _serve(self) -> Server:
        return Server(providers=self._providers, conf=self._conf, useenv=False)

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server = self._serve()


@pytest.fixture
def name_server(image: SharedPV, epics: LoopbackEpics) -> Iterator[NameServer]:
    server = NameServer(image, epics.pva_ports["ioc"])
    yield server
    server.stop()


def test_run_is_armed_as_soon_as_a_name_server_is_back(name_server: NameServer) -> None:
    with (
        closing(PvaTransport(load_named_profile("sim"), CHANNEL, None)) as transport,
        closing(transport.source()) as before,
        closing(transport.source()) as after,
    ):
        before.listen()
        name_server.stop()
        wait_until(lambda: not before.queue.take(0.01) and not before.is_connected)
        name_server.start()
        after.listen()


def test_run_that_goes_on_does_not_wait_until_a_name_server_is_asked_again(name_server: NameServer) -> None:
    made = []

    def client() -> Context:
        made.append(Context("pva", useenv=True, nt=False))
        return made[-1]

    with closing(PvaSource(client, CHANNEL, BUDGET_BYTES)) as frames:
        frames.start()
        name_server.stop()
        wait_until(lambda: not frames.queue.take(0.01) and frames.silent() != [])
        name_server.start()
        wait_until(lambda: bool(frames.queue.take(0.01)) or not frames.silent())
    assert len(made) > 1, "the one that lost it would have found it, too, but late"


def test_subscription_that_is_closed_keeps_no_frame(clients: Callable[[], Context]) -> None:
    """Python's collector would free it, but comes seldom: it counts objects, and a frame is one."""
    gc.collect()
    gc.disable()
    frames = PvaSource(clients, CHANNEL, BUDGET_BYTES)
    frames.start()
    frames.begin()
    frames.close()
    freed = weakref.ref(frames.queue)
    del frames
    try:
        wait_until(lambda: freed() is None)  # p4p's thread may be in its handler
    finally:
        gc.enable()

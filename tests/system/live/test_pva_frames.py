"""A subscription to frames beside a real PVA server."""

from __future__ import annotations

import gc
import logging
import time
import weakref
from typing import Any

import numpy as np
import pytest
from p4p.client import raw
from p4p.client.thread import Context
from p4p.nt import NTNDArray
from p4p.server import Server
from p4p.server.thread import SharedPV

from stream_service.sources.live import pva_frames
from stream_service.sources.live.pva_frames import PvaFrames

CHANNEL = "T:Image"
LATE_S = 0.5
LOST = "Lost Subscription update"


def test_first_update_that_p4p_loses_is_got_by_another_subscription(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subscribe, n_subscriptions = raw.Context.monitor, 0

    def subscribe_late(*arguments: Any, **options: Any) -> Any:
        """As if the thread that subscribes were held up before it knows its subscription, the first time."""
        nonlocal n_subscriptions
        n_subscriptions += 1
        subscription = subscribe(*arguments, **options)
        while n_subscriptions == 1 and LOST not in caplog.text:
            time.sleep(0.01)
        return subscription

    monkeypatch.setattr(raw.Context, "monitor", subscribe_late)
    monkeypatch.setattr(pva_frames, "SUBSCRIBE_AGAIN_S", LATE_S)
    image = SharedPV(nt=NTNDArray(), initial=np.zeros((6, 8), np.uint16))
    with (
        caplog.at_level(logging.ERROR, "p4p.client.thread"),
        Server(providers=[{CHANNEL: image}], isolate=True) as server,
        Context("pva", conf=server.conf(), useenv=False, nt=False) as context,
    ):
        frames = PvaFrames(context, CHANNEL, 1 << 20)
        frames.start()
        begin = frames.begin()
        frames.close()
    assert LOST in caplog.text and n_subscriptions >= 2
    assert frames.is_connected and frames.latest_frame() is not None
    assert (begin.shape, begin.dtype) == ((6, 8), np.uint16)


def test_subscription_that_is_closed_keeps_no_frame() -> None:
    """Python's collector would free it, but comes seldom: it counts objects, and a frame is one."""
    image = SharedPV(nt=NTNDArray(), initial=np.zeros((6, 8), np.uint16))
    with (
        Server(providers=[{CHANNEL: image}], isolate=True) as server,
        Context("pva", conf=server.conf(), useenv=False, nt=False) as context,
    ):
        gc.collect()
        gc.disable()
        frames = PvaFrames(context, CHANNEL, 1 << 20)
        frames.start()
        frames.begin()
        frames.close()
        freed = weakref.ref(frames)
        del frames
        is_freed = freed() is None
        gc.enable()
    assert is_freed

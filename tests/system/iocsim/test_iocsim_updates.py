"""Updates of a series that wait in a subscriber's queue while the simulated detector makes the next ones."""

import threading

import numpy as np
from limits import HANG_S
from p4p import Value
from p4p.client.raw import Context
from p4p.server import Server
from p4p.server.thread import SharedPV

from iocsim.detector.ndarray import NDArray, NDAttribute, SourceType
from iocsim.detector.ntndarray import Encoder, encode, fresh

N = 50


def array(index: int) -> NDArray:
    return NDArray(
        pixels=np.full((4, 6), index, np.uint16),
        unique_id=index,
        timestamp_ns=1_795_218_868_651_419_154 + index,
        attributes=(NDAttribute("posx", 0.5 * index, "stage x, um", SourceType.EPICS_PV, "SIM:X.RBV"),),
    )


def test_what_is_sent_next_does_not_change_what_waits():
    """p4p posts a copy of an update that shares its pixels and attributes."""
    channel, encoder = SharedPV(initial=fresh()), Encoder()
    there = threading.Event()
    with (
        Server(providers=[{"T:Image": channel}], isolate=True) as server,
        Context("pva", nt=False, conf=server.conf(), useenv=False) as context,
    ):
        request = f"field()record[queueSize={2 * N},pipeline=false]"
        subscription = context.monitor("T:Image", there.set, request=request)

        def next_update() -> Value:
            """It is told of only if none was there before."""
            while not isinstance(update := subscription.pop(), Value):
                if update is None:
                    assert there.wait(HANG_S)
                    there.clear()
            return update

        assert next_update()["uniqueId"] == 0
        for index in range(1, N + 1):
            channel.post(encoder.encode(array(index)))
        received = [next_update() for _ in range(N)]
    assert [str(update) for update in received] == [str(encode(array(index))) for index in range(1, N + 1)]

"""Frames of a real iocsim over ZMQ, received with nothing but pyzmq, beside the same frames over PVA."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import zmq
from beamline_client import BeamlineClient
from limits import HANG_S
from p4p.client.thread import Context

from stream_service.testing.loopback import free_port

EPICS_EPOCH_S = 631152000
N_FRAMES = 20


@pytest.fixture
def receiver() -> Iterator[Callable[[int, int], zmq.Socket]]:
    """Makes a SUB or PULL that takes what is sent at a port."""
    context, made = zmq.Context(), []

    def make(kind: int, port: int) -> zmq.Socket:
        socket = context.socket(kind)
        made.append(socket)
        socket.set(zmq.RCVTIMEO, round(1e3 * HANG_S))
        socket.set(zmq.RCVHWM, 0)
        if kind == zmq.SUB:
            socket.subscribe(b"")
        socket.connect(f"tcp://127.0.0.1:{port}")
        return socket

    yield make
    for socket in made:
        socket.close(0)
    context.term()


def wait_for_subscriber(client: BeamlineClient, socket: zmq.Socket) -> None:
    """Acquire until a frame comes, take all that comes, and begin to count anew."""
    while not socket.poll(100):
        client.acquire(1)
    last = b'"frame":%d,' % client.get("cam1:ArrayCounter_RBV")
    while last not in socket.recv_multipart()[0]:
        pass
    client.put("cam1:ArrayCounter", 0)


def test_zmq1_sends_the_frames_of_pva_bit_for_bit_with_the_same_faults(start_ioc: Callable, receiver: Callable):
    port = free_port()
    ioc = start_ioc("--shape", "24,32", "--zmq", f"tcp://127.0.0.1:{port} PUB")
    client, socket, updates = BeamlineClient(ioc.prefix), receiver(zmq.SUB, port), []
    with Context("pva", nt=False) as context:
        client.put_all(ZMQ1__EnableCallbacks=1, Pva1__EnableCallbacks=1)
        wait_for_subscriber(client, socket)
        request = "field()record[queueSize=1000,pipeline=false]"
        subscription = context.monitor(f"{ioc.prefix}Pva1:Image", updates.append, request=request)
        client.wait_until(lambda: len(updates) == 1)
        client.put_all(Sim__DropIds="3", Sim__DuplicateIds="5", Sim__Reorder=4)
        client.acquire(N_FRAMES)
        client.wait_until(lambda: len(updates) == 1 + N_FRAMES)
        subscription.close()
    messages = [socket.recv_multipart() for _ in range(N_FRAMES)]
    headers = [json.loads(header) for header, _ in messages]
    ids = [header["frame"] for header in headers]
    assert sorted(ids) == [1, 2, 4, 5, 5, *range(6, N_FRAMES + 1)] and ids != sorted(ids)
    for header, (_, pixels), update in zip(headers, messages, updates[1:], strict=True):
        assert (header["htype"], header["type"], header["shape"]) == ("array-1.0", "uint16", [24, 32])
        assert header["frame"] == update.uniqueId
        np.testing.assert_array_equal(np.frombuffer(pixels, np.uint16), update.value)
        assert int(header["timeStamp"]) + EPICS_EPOCH_S == update.dataTimeStamp.secondsPastEpoch
        assert int((header["timeStamp"] - int(header["timeStamp"])) * 1e9) == update.dataTimeStamp.nanoseconds
        assert list(header["ndattr"].items()) == [(one.name, one.value) for one in update.attribute]
    assert client.get("ZMQ1:DroppedOutputArrays_RBV") == 0
    client.close()


def test_a_push_that_nobody_pulls_from_counts_every_drop_and_the_truth_says_who_was_given_what(
    start_ioc: Callable, tmp_path
):
    truth = tmp_path / "truth.npz"
    ioc = start_ioc("--shape", "24,32", "--truth", truth, "--zmq", f"tcp://127.0.0.1:{free_port()} PUSH BIND")
    client = BeamlineClient(ioc.prefix)
    client.acquire(2)
    client.put("ZMQ1:EnableCallbacks", 1)
    client.put("Pva1:EnableCallbacks", 0)
    client.put_all(Sim__DropIds="4", cam1__NumImages=3)
    client.put("cam1:Acquire", 1)
    assert client.get("ZMQ1:DroppedOutputArrays_RBV") == 2
    client.close()
    assert ioc.stop() == 0
    with np.load(truth) as archive:
        assert archive["sent_pva"].tolist() == [1, 1, 0, 0, 0]
        assert archive["sent_zmq"].tolist() == [0, 0, 1, 0, 1]
        assert archive["status"].tolist() == ["sent", "sent", "sent", "dropped", "sent"]

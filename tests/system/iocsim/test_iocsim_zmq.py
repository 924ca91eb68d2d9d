"""Frames of a real iocsim over ZMQ, received with nothing but pyzmq, beside the same frames over PVA."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
import zmq
import zmq.auth
from beamline_client import BeamlineClient
from limits import HANG_S

from stream_service.pv_access import Context
from stream_service.testing.loopback import free_port

EPICS_EPOCH_S = 631152000
N_FRAMES = 20
ATTRIBUTES = """<Attributes>
<Attribute name="Byte" type="EPICS_PV" source="PREFIXcam1:NumExposures_RBV" dbrtype="DBR_CHAR"/>
<Attribute name="NotThere" type="EPICS_PV" source="NO:SUCH:PV"/>
</Attributes>"""


@pytest.fixture
def receiver() -> Iterator[Callable[..., zmq.Socket]]:
    """Makes a SUB or PULL that takes what is sent at a port, with the keys in a folder if there are any."""
    context, made = zmq.Context(), []

    def make(kind: int, port: int, keys: Path | None = None) -> zmq.Socket:
        socket = context.socket(kind)
        made.append(socket)
        socket.set(zmq.RCVTIMEO, round(1e3 * HANG_S))
        socket.set(zmq.RCVHWM, 0)
        if kind == zmq.SUB:
            socket.subscribe(b"")
        if keys is not None:
            socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(keys / "client.key_secret")
            socket.curve_serverkey = zmq.auth.load_certificate(keys / "server.key")[0]
        socket.connect(f"tcp://127.0.0.1:{port}")
        return socket

    yield make
    for socket in made:
        socket.close(0)
    context.term()


class Both:
    """A CA client of a beamline, and the frames that it sends over PVA."""

    def __init__(self, prefix: str) -> None:
        self.client = BeamlineClient(prefix)
        self._updates: list[Any] = []
        self._context = Context("pva", nt=False)
        request = "field()record[queueSize=1000,pipeline=false]"
        self._subscription = self._context.monitor(f"{prefix}Pva1:Image", self._updates.append, request=request)
        self.client.wait_until(lambda: len(self._updates) == 1)

    def __enter__(self) -> Both:
        return self

    def __exit__(self, *_: object) -> None:
        self._subscription.close()
        self._context.close()
        self.client.close()

    def acquire(self, n_images: int, **puts: Any) -> list[Any]:
        """Count anew, put, and take images; gives what came over PVA of them."""
        self.client.put_all(cam1__ArrayCounter=0, Pva1__EnableCallbacks=1, **puts)
        n_before = self._n_sent()
        self.client.put_all(cam1__ImageMode="Multiple", cam1__NumImages=n_images, cam1__Acquire=1)
        n_now = self._n_sent()
        self.client.wait_until(lambda: len(self._updates) == n_now)
        return self._updates[n_before:]

    def _n_sent(self) -> int:
        """The first update and all frames since."""
        return 1 + self.client.get("Sim:FramesSent_RBV") + self.client.get("Sim:FramesDuplicated_RBV")


def stamp_ns(update: Any) -> int:
    """The exact stamp of a frame, Unix ns."""
    return update.timeStamp.secondsPastEpoch * 10**9 + update.timeStamp.nanoseconds


def unix_ns(date: datetime) -> int:
    """Of a date in whole microseconds."""
    return (date - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


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
    socket = receiver(zmq.SUB, port)
    with Both(ioc.prefix) as both:
        both.client.put("ZMQ1:EnableCallbacks", 1)
        wait_for_subscriber(both.client, socket)
        updates = both.acquire(N_FRAMES, Sim__DropIds="3", Sim__DuplicateIds="5", Sim__Reorder=4)
        assert both.client.get("ZMQ1:DroppedOutputArrays_RBV") == 0
        both.client.put("cam1:NumExposures", 200)
        both.client.put("cam1:NDAttributesFile", ATTRIBUTES.replace("PREFIX", ioc.prefix))
        (with_bytes,) = both.acquire(1, Sim__Reorder=0)
    messages = [socket.recv_multipart() for _ in range(N_FRAMES)]
    not_json, _ = socket.recv_multipart()
    headers = [json.loads(header) for header, _ in messages]
    ids = [header["frame"] for header in headers]
    assert sorted(ids) == [1, 2, 4, 5, 5, *range(6, N_FRAMES + 1)] and ids != sorted(ids)
    for header, (_, pixels), update in zip(headers, messages, updates, strict=True):
        assert (header["htype"], header["type"], header["shape"]) == ("array-1.0", "uint16", [24, 32])
        assert header["frame"] == update.uniqueId
        np.testing.assert_array_equal(np.frombuffer(pixels, np.uint16), update.value)
        assert int(header["timeStamp"]) + EPICS_EPOCH_S == update.dataTimeStamp.secondsPastEpoch
        assert int((header["timeStamp"] - int(header["timeStamp"])) * 1e9) == update.dataTimeStamp.nanoseconds
        assert list(header["ndattr"].items()) == [(one.name, one.value) for one in update.attribute]
    assert b'"Byte":\xc8,"NotThere":"Undefined"' in not_json
    assert {one.name: one.value for one in with_bytes.attribute}["Byte"] == -56


def test_simplon_sends_the_frames_of_pva_in_announced_series(start_ioc: Callable, receiver: Callable, tmp_path: Path):
    port = free_port()
    ioc = start_ioc("--shape", "24,32", "--simplon", f"tcp://127.0.0.1:{port}", "--frame-clock-offset", "0.5")
    with Both(ioc.prefix) as both:
        both.acquire(2)
        updates = both.acquire(N_FRAMES, Sim__DropIds="5", cam1__AcquireTime=0.002)
        socket = receiver(zmq.PULL, port)  # whoever comes late gets what has waited
        n_messages = (2 + 2) + (2 + N_FRAMES - 1)
        messages = [socket.recv_multipart() for _ in range(n_messages)]
        both.client.wait_for("Sim:SimplonSent_RBV", n_messages)
        assert both.client.get("Sim:SimplonDropped_RBV") == 0
        both.client.put_all(Sim__TruthFile=str(tmp_path / "truth.npz"), Sim__SaveTruth=1)
    with np.load(tmp_path / "truth.npz") as truth:
        assert truth["sent_simplon"].tolist() == truth["sent_pva"].tolist() == [1] * 6 + [0] + [1] * (N_FRAMES - 5)
        assert set(truth["sent_stream2"]) == {0}
    first, second = messages[:4], messages[4:]
    assert [json.loads(message[0])["series"] for message in messages] == [1] * 4 + [2] * len(second)
    assert [json.loads(one[-1][0])["htype"] for one in (first, second)] == ["dseries_end-1.0"] * 2
    header, configuration = map(json.loads, second[0])
    assert (header["htype"], configuration["nimages"]) == ("dheader-1.0", N_FRAMES)
    armed_ns = unix_ns(datetime.fromisoformat(configuration["data_collection_date"]))
    images = second[1:-1]
    assert [json.loads(image[0])["frame"] for image in images] == [0, 1, 2, 3, *range(5, N_FRAMES)]
    for (_, about, pixels, times), update in zip(images, updates, strict=True):
        assert json.loads(about) | {"size": 0} == {
            "htype": "dimage_d-1.0",
            "shape": [32, 24],
            "type": "uint16",
            "encoding": "<",
            "size": 0,
        }
        np.testing.assert_array_equal(np.frombuffer(pixels, np.uint16), update.value)
        told = json.loads(times)
        assert armed_ns + told["stop_time"] == stamp_ns(update)
        assert told["stop_time"] - told["start_time"] == told["real_time"] == 2_000_000


def test_stream2_sends_the_frames_of_pva_as_typed_arrays_to_who_has_the_key(
    start_ioc: Callable, receiver: Callable, tmp_path: Path
):
    for name in ("server", "client"):
        zmq.auth.create_certificates(tmp_path, name)
    port = free_port()
    stream2 = ("--stream2", f"tcp://127.0.0.1:{port}", "--stream2-channels", "2")
    ioc = start_ioc("--shape", "24,32", *stream2, "--zmq-curve", tmp_path / "server.key_secret")
    with Both(ioc.prefix) as both:
        stranger, socket = receiver(zmq.PULL, port), receiver(zmq.PULL, port, tmp_path)
        updates = both.acquire(N_FRAMES, Sim__DuplicateIds="2", cam1__AcquireTime=0.002)
        start, *images, end = [cbor2.loads(socket.recv()) for _ in range(N_FRAMES + 3)]
        both.client.put("Sim:ZmqRestart", 1)
        both.acquire(1)
        again = [cbor2.loads(socket.recv())["series_id"] for _ in range(3)]
        assert not stranger.poll(0)
    assert (start["type"], start["number_of_images"], start["image_dtype"]) == ("start", N_FRAMES, "uint16")
    assert (end["type"], end["series_id"], again) == ("end", 1, [1, 1, 1])
    assert [image["image_id"] for image in images] == [0, 1, 1, *range(2, N_FRAMES)]
    for image, update in zip(images, updates, strict=True):
        first, second = image["data"].values()
        assert (first.tag, list(first.value[0]), first.value[1].tag) == (40, [24, 32], 69)
        np.testing.assert_array_equal(np.frombuffer(first.value[1].value, "<u2"), update.value)
        np.testing.assert_array_equal(np.frombuffer(second.value[1].value, "<u2"), update.value // 2)
        start_time, stop_time = (Fraction(*image[name]) for name in ("start_time", "stop_time"))
        assert unix_ns(image["series_date"]) + stop_time * 10**9 == stamp_ns(update)
        assert stop_time - start_time == Fraction(2, 1000)


@pytest.mark.further
def test_a_push_that_nobody_pulls_from_counts_every_drop_and_the_truth_says_who_was_given_what(
    start_ioc: Callable, tmp_path: Path
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

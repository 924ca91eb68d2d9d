"""ZMQ1 as it sends: counted drops, silent losses, compressed pixels, a restart, keys."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zmq
import zmq.auth
from limits import HANG_S

from iocsim.detector.ndarray import Compressed, NDArray
from iocsim.detector.plugin import DRIVER_PORT
from iocsim.faults import Faults
from iocsim.pv import PvTable
from iocsim.zmq.address import Address, AddressError
from iocsim.zmq.plugin import ZmqPlugin
from iocsim.zmq.socket import Keys, SenderSocket
from stream_service.testing.loopback import free_port

FRAME = NDArray(np.arange(12, dtype=np.uint16).reshape(3, 4), 1, 1_795_218_868_000_000_000, ())
GONE_S = 0.2
"""Long enough for what would come over loopback, where it is expected that nothing comes."""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def receiver(port: int) -> Iterator[Callable[..., zmq.Socket]]:
    """Makes a SUB or PULL, with a certificate if it has one, that takes what is sent at the port."""
    context, made = zmq.Context(), []

    def make(kind: int, certificate: Path | None = None, server: bytes = b"") -> zmq.Socket:
        socket = context.socket(kind)
        made.append(socket)
        socket.set(zmq.RCVTIMEO, round(1e3 * HANG_S))
        if kind == zmq.SUB:
            socket.subscribe(b"")
        if certificate is not None:
            socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(certificate)
            socket.curve_serverkey = server
        socket.connect(f"tcp://127.0.0.1:{port}")
        return socket

    yield make
    for socket in made:
        socket.close(0)
    context.term()


@pytest.fixture
def plugin(port: int) -> Iterator[Callable[..., ZmqPlugin]]:
    """Makes the plugin, enabled, at an address with `PORT` for the free port."""
    made: list[ZmqPlugin] = []

    def make(address: str, keys: Keys | None = None, faults: Faults | None = None) -> ZmqPlugin:
        socket = SenderSocket(Address.parse(address.replace("PORT", str(port))), keys)
        table = PvTable("ZMQ1:")
        plugin = ZmqPlugin(table, lambda: faults or Faults(), DRIVER_PORT, socket, old_header=False)
        asyncio.run(table.pvs["ZMQ1:EnableCallbacks_RBV"].post("Enable"))
        made.append(plugin)
        return plugin

    yield make
    for one in made:
        one.close()


def raise_error(error: Exception) -> None:
    raise error


def send_until_received(plugin: ZmqPlugin, socket: zmq.Socket) -> list[bytes]:
    """The first message that a new subscriber gets; what was sent before it was there is lost."""
    for _ in range(round(HANG_S / 0.05)):
        plugin.process({DRIVER_PORT: FRAME})
        if socket.poll(50):
            return socket.recv_multipart()
    raise AssertionError("nothing came")


def test_a_pub_sends_header_and_pixels_and_never_counts_a_loss(plugin, receiver):
    sender = plugin("tcp://127.0.0.1:PORT PUB")
    assert sender.process({DRIVER_PORT: FRAME}) == 1
    header, pixels = send_until_received(sender, receiver(zmq.SUB))
    assert header.startswith(b'{"htype":"array-1.0", "type":"uint16", "shape":[3,4], "frame":1, ')
    assert pixels == FRAME.pixels.tobytes()
    assert sender.n_dropped_outputs == 0


def test_a_push_without_a_peer_counts_every_frame_as_dropped(plugin):
    sender = plugin("tcp://127.0.0.1:PORT PUSH BIND")
    for unique_id in (1, 2, 3):
        sender.process({DRIVER_PORT: replace(FRAME, unique_id=unique_id)})
    assert sender.n_dropped_outputs == 3


def test_faults_are_those_of_the_table(plugin, receiver):
    faults = Faults(drop_ids=frozenset({2}), duplicate_ids=frozenset({3}), far_ids=frozenset({4}))
    sender = plugin("tcp://127.0.0.1:PORT PUSH BIND", faults=faults)
    socket = receiver(zmq.PULL)
    assert sender._socket.can_send(HANG_S)
    copies = [sender.process({DRIVER_PORT: replace(FRAME, unique_id=unique_id)}) for unique_id in (1, 2, 3, 4)]
    headers = [socket.recv_multipart()[0] for _ in range(4)]
    assert copies == [1, 0, 2, 1]
    assert [int(header.split(b'"frame":')[1].split(b",")[0]) for header in headers] == [1, 3, 3, 4_000_004]


def test_compressed_pixels_are_cut_or_filled_to_the_size_of_the_pixels(plugin):
    sender = plugin("tcp://127.0.0.1:PORT PUSH BIND")
    short, long = Compressed("zlib", b"\1" * 5), Compressed("blosc", b"\2" * 40)
    first = sender._payload(replace(FRAME, compressed=short)).tobytes()
    assert first == b"\1" * 5 + FRAME.pixels.tobytes()[5:]
    assert sender._payload(replace(FRAME, compressed=long)).tobytes() == b"\2" * 24
    assert sender._payload(replace(FRAME, compressed=short)).tobytes() == b"\1" * 5 + b"\2" * 19


def test_after_a_restart_those_who_pull_get_frames_again(plugin, receiver):
    sender = plugin("tcp://127.0.0.1:PORT PUSH BIND")
    socket = receiver(zmq.PULL)
    for unique_id in (1, 2, 3):
        assert sender._socket.can_send(HANG_S)
        sender.process({DRIVER_PORT: replace(FRAME, unique_id=unique_id)})
        assert b'"frame":%d,' % unique_id in socket.recv_multipart()[0]
        sender.restart()


def test_a_restart_that_finds_its_port_taken_says_so_and_frames_are_dropped(plugin, monkeypatch):
    sender = plugin("tcp://127.0.0.1:PORT PUB")
    monkeypatch.setattr(sender._socket, "_attach", lambda _: raise_error(AddressError("taken")))
    with pytest.raises(AddressError, match="taken"):
        sender.restart()
    sender.process({DRIVER_PORT: FRAME})
    assert sender.n_dropped_outputs == 1


def test_an_address_that_is_taken_is_named(plugin):
    plugin("tcp://127.0.0.1:PORT PUB")
    with pytest.raises(AddressError, match="PUB cannot be bound to tcp"):
        plugin("tcp://127.0.0.1:PORT PUB")


def test_a_subscriber_without_the_key_gets_nothing_and_one_with_it_gets_frames(plugin, receiver, tmp_path):
    for name in ("server", "client"):
        zmq.auth.create_certificates(tmp_path, name)
    keys = Keys.read(tmp_path / "server.key_secret", None)
    sender = plugin("tcp://127.0.0.1:PORT PUB", keys)
    stranger = receiver(zmq.SUB)
    known = receiver(zmq.SUB, tmp_path / "client.key_secret", keys.public)
    assert len(send_until_received(sender, known)) == 2
    assert not stranger.poll(round(1e3 * GONE_S))


def test_a_sender_that_connects_is_let_in_by_its_key(plugin, port, tmp_path):
    for name in ("server", "client"):
        zmq.auth.create_certificates(tmp_path, name)
    with zmq.Context() as context, context.socket(zmq.PULL) as server:
        server.set(zmq.RCVTIMEO, round(1e3 * HANG_S))
        server.curve_publickey, server.curve_secretkey = zmq.auth.load_certificate(tmp_path / "server.key_secret")
        server.curve_server = True
        server.bind(f"tcp://127.0.0.1:{port}")
        keys = Keys.read(tmp_path / "client.key_secret", tmp_path / "server.key")
        sender = plugin("tcp://127.0.0.1:PORT PUSH CONNECT", keys)
        sender.process({DRIVER_PORT: FRAME})  # a PUSH that connects has room before anybody is there
        assert len(server.recv_multipart()) == 2
        assert sender.n_dropped_outputs == 0


def test_a_sender_that_connects_must_know_the_key_of_the_server(plugin, tmp_path):
    zmq.auth.create_certificates(tmp_path, "client")
    keys = Keys.read(tmp_path / "client.key_secret", None)
    with pytest.raises(AddressError, match="it needs the public key of the server"):
        plugin("tcp://127.0.0.1:PORT PUSH CONNECT", keys)


def test_keys_without_a_secret_are_refused(tmp_path: Path):
    zmq.auth.create_certificates(tmp_path, "server")
    with pytest.raises(AddressError, match="has no secret key"):
        Keys.read(tmp_path / "server.key", None)

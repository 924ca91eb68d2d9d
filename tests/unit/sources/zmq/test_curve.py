"""CURVE: who has the keys receives and is received; who does not is counted, and told of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq
import zmq.auth
from waiting import wait_until
from zmq_sender import BUDGET_BYTES, LARGEST_BYTES, Bytes, sender, take

from stream_service.errors import ConfigError, SourceError
from stream_service.settings.frames import Curve, ZmqFrames
from stream_service.sources.live.zmq.frames import ZmqSource
from stream_service.sources.live.zmq.receiver import ZmqReceiver


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name in ("service", "beamline", "stranger"):
        zmq.auth.create_certificates(tmp_path, name)
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "beamline.key").write_bytes((tmp_path / "beamline.key").read_bytes())
    return tmp_path


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    opened: zmq.Context = zmq.Context()
    yield opened
    opened.destroy(linger=0)


def socket_with(context: zmq.Context, keys: Path, own: str | None, server: str | None = None) -> zmq.Socket:
    """A PUSH socket with keys; a server of CURVE, unless it connects to one."""
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.LINGER, 0)
    if own is not None:
        socket.curve_publickey, secret = zmq.auth.load_certificate(keys / f"{own}.key_secret")
        socket.curve_secretkey = secret or b""
        if server is None:
            socket.curve_server = True
        else:
            socket.curve_serverkey = zmq.auth.load_certificate(keys / f"{server}.key")[0]
    return socket


def source_of(frames: ZmqFrames) -> tuple[ZmqReceiver, ZmqSource]:
    receiver = ZmqReceiver(frames, BUDGET_BYTES, 100, LARGEST_BYTES)
    return receiver, ZmqSource(receiver, Bytes(), BUDGET_BYTES)


def test_service_with_the_key_of_the_sender_gets_its_frames(context: zmq.Context, keys: Path) -> None:
    with socket_with(context, keys, "beamline") as push:
        push.bind("tcp://127.0.0.1:*")
        curve = Curve(own=keys / "service.key_secret", sender=keys / "beamline.key")
        receiver, source = source_of(ZmqFrames(connect=(push.getsockopt_string(zmq.LAST_ENDPOINT),), curve=curve))
        with closing(receiver):
            source.start()
            push.send(b"secret")
            assert take(source.queue, 1) == [b"secret"]


@pytest.mark.parametrize("curve", [True, False], ids=["wrong key", "no key"])
def test_service_without_the_key_of_the_sender_gets_nothing_and_says_so(context, keys, curve, monkeypatch) -> None:
    monkeypatch.setattr("stream_service.sources.live.zmq.frames.ANSWER_TIMEOUT_S", 0.0)
    with socket_with(context, keys, "beamline") as push:
        push.bind("tcp://127.0.0.1:*")
        wrong = Curve(own=keys / "service.key_secret", sender=keys / "stranger.key") if curve else None
        receiver, source = source_of(ZmqFrames(connect=(push.getsockopt_string(zmq.LAST_ENDPOINT),), curve=wrong))
        with closing(receiver):
            receiver.attach(source.queue)
            wait_until(lambda: bool(source.problem))
            with pytest.raises(SourceError, match=r"ended before a greeting: is it ZMQ that .* are the keys right"):
                source.start()
            assert "cut off" not in source.problem
            assert not push.poll(0, zmq.POLLOUT), "it has no peer to send to"


def test_senders_without_a_known_key_send_nothing_and_are_counted(context: zmq.Context, keys: Path) -> None:
    with sender() as free:
        address = free.address
    curve = Curve(own=keys / "service.key_secret", senders=keys / "known")
    receiver, source = source_of(ZmqFrames(bind=(address,), curve=curve))
    known = socket_with(context, keys, "beamline", "service")
    others = [socket_with(context, keys, "stranger", "service"), socket_with(context, keys, None)]
    with closing(receiver), known, others[0], others[1]:
        receiver.attach(source.queue)
        for other in others:
            other.connect(address)
            other.send(b"bad")  # it waits for a peer
        wait_until(lambda: source.problem.startswith("2 connections"))
        assert "ended before a greeting" in source.problem
        assert not source.is_connected
        known.connect(address)
        source.start()
        known.send(b"secret")
        assert take(source.queue, 1) == [b"secret"]
        assert not len(source.queue)


def test_key_files_that_are_none_are_named(context: zmq.Context, keys: Path) -> None:
    (keys / "empty").mkdir()
    (keys / "none.key").write_text("no key", encoding="utf-8")
    sender_key = keys / "beamline.key"
    for curve, words in (
        (Curve(own=keys / "away", sender=sender_key), "there is no key file"),
        (Curve(own=keys / "none.key", sender=sender_key), "none.key cannot be read as a key file"),
        (Curve(own=sender_key, sender=sender_key), "has no secret key: name the .key_secret file"),
    ):
        receiver, source = source_of(ZmqFrames(connect=("tcp://127.0.0.1:1",), curve=curve))
        with closing(receiver), pytest.raises(ConfigError, match=words):
            source.start()
    own = keys / "service.key_secret"
    receiver, source = source_of(ZmqFrames(bind=("tcp://127.0.0.1:1",), curve=Curve(own=own, senders=keys / "empty")))
    with closing(receiver), pytest.raises(ConfigError, match="no public key file"):
        source.start()
    short = keys / "known" / "short.key"
    short.write_text('curve\n    public-key = "short"\n', encoding="utf-8")
    for bad, words in (
        (short, "short.key has a key that is not of 40"),
        (keys / "none.key", "none.key cannot be read"),
    ):
        (keys / "known" / bad.name).write_bytes(bad.read_bytes())
        receiver, source = source_of(
            ZmqFrames(bind=("tcp://127.0.0.1:1",), curve=Curve(own=own, senders=keys / "known"))
        )
        with closing(receiver), pytest.raises(ConfigError, match=words):
            source.start()
        (keys / "known" / bad.name).unlink()

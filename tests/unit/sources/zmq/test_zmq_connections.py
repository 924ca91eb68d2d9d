"""Who is there, who is away, and who was refused or cut off is told, and comes back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
import zmq
from limits import HANG_S
from waiting import wait_until
from zmq_sender import BUDGET_BYTES, LARGEST_BYTES, Bytes, Sender, free_address, receiver_of, sender, take

from stream_service.errors import ConfigError, SourceError
from stream_service.settings.frames import ZmqFrames
from stream_service.sources.live.zmq.frames import ZmqSource
from stream_service.sources.live.zmq.receiver import ZmqReceiver


@contextmanager
def sender_that_connects(host: str = "127.0.0.1") -> Iterator[tuple[zmq.Socket[bytes], ZmqSource, str]]:
    """It, a run that listens at this host, and the address at which it does."""
    address = free_address()
    bound = address.replace("127.0.0.1", host)
    receiver = ZmqReceiver(ZmqFrames(bind=(bound,)), BUDGET_BYTES, 100, LARGEST_BYTES)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with closing(receiver), context, context.socket(zmq.PUSH) as pushing:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        pushing.setsockopt(zmq.LINGER, 0)
        pushing.connect(address)
        source.start()
        yield pushing, source, address


def test_sender_of_what_is_too_large_is_cut_off_and_told_and_its_next_frames_come(push: Sender) -> None:
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.start()
        push.send(b"good", bytes(LARGEST_BYTES + 1))
        assert take(source.queue, 1) == [b"good"]
        wait_until(lambda: bool(source.problem))
        assert "was cut off 1 time: it sends parts of more than 0.00954 MiB" in source.problem
        wait_until(lambda: source.is_connected)
        push.send(b"good again")
        assert take(source.queue, 1) == [b"good again"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_sender_that_is_away_is_told_and_comes_back(push: Sender, host: str) -> None:
    """By whatever its host is called: once it was there, ZMQ calls it by its number."""
    address = push.address.replace("127.0.0.1", host)
    with closing(receiver_of(address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.start()
        assert source.is_connected and source.silent() == [] and source.problem == ""
        push.leave()
        wait_until(lambda: not source.is_connected)
        assert source.silent() == [f"{address} (test)"]
        push.open(push.address)
        wait_until(lambda: source.is_connected)
        assert source.problem == ""
        push.send(b"here")
        assert take(source.queue, 1) == [b"here"]


def test_one_of_two_senders_that_is_away_is_named_and_the_other_goes_on(push: Sender) -> None:
    with sender() as other, closing(receiver_of(push.address, other.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.start()
        other.leave()
        wait_until(lambda: source.silent() == [f"{other.address} (test)"])
        assert source.is_connected
        push.send(b"here")
        assert take(source.queue, 1) == [b"here"]


@pytest.mark.parametrize("host", ["127.0.0.1", "*", "lo"])
def test_senders_may_connect_to_the_service(host: str) -> None:
    with sender_that_connects(host) as (pushing, source, _):
        pushing.send(b"here")
        assert take(source.queue, 1) == [b"here"]
        pushing.close(0)
        wait_until(lambda: not source.is_connected)


def test_nobody_at_the_address_is_said_in_words(monkeypatch) -> None:
    monkeypatch.setattr("stream_service.sources.live.zmq.frames.ANSWER_TIMEOUT_S", 0.1)
    with sender() as gone:
        address = gone.address
    with closing(receiver_of(address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        with pytest.raises(SourceError, match=f"no sender at {address} within 0.1 s: is it running"):
            source.start()
        assert source.silent() == [f"{address} (test)"] and not source.is_connected


def test_address_that_another_program_has_is_refused(push: Sender) -> None:
    frames = ZmqFrames(bind=(push.address,))
    refused = pytest.raises(ConfigError, match=r"frames cannot be received at tcp.*Address already in use")
    with closing(ZmqReceiver(frames, BUDGET_BYTES, 100, LARGEST_BYTES)) as receiver, refused:
        ZmqSource(receiver, Bytes(), BUDGET_BYTES).start()


def test_greeted_sender_that_leaves_is_told_apart_from_one_that_says_nothing() -> None:
    with sender_that_connects() as (pushing, source, address):
        host, _, port = address.removeprefix("tcp://").partition(":")
        with socket.create_connection((host, int(port))):
            pushing.close(0)
            wait_until(lambda: not source.is_connected)
            assert source.problem == ""
        wait_until(lambda: source.problem.startswith("1 connection of"))


def test_sender_that_connects_and_sends_what_is_too_large_is_told() -> None:
    with sender_that_connects() as (pushing, source, _):

        def send_until_told() -> bool:
            with suppress(zmq.Again):
                pushing.send(bytes(LARGEST_BYTES + 1), zmq.NOBLOCK)
            return "they end, or send parts of more than 0.00954 MiB" in source.problem

        wait_until(send_until_told)


def test_a_sender_of_another_kind_is_told_so(monkeypatch) -> None:
    monkeypatch.setattr("stream_service.sources.live.zmq.frames.ANSWER_TIMEOUT_S", 0.0)
    with sender(zmq.PUB) as peer, closing(receiver_of(peer.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        receiver.attach(source.queue)
        wait_until(lambda: bool(source.problem))
        with pytest.raises(SourceError, match=r"is it ZMQ that pushes \(PUSH\), as socket: pull says, and") as refused:
            source.start()
        assert "MiB" not in str(refused.value)


def test_connections_that_nobody_looks_at_do_not_stop_the_others() -> None:
    """The monitor holds 1000 events on each side by default, and ZMQ's thread waits for room."""
    with sender_that_connects() as (pushing, source, address):
        host, _, port = address.removeprefix("tcp://").partition(":")
        for _ in range(800):
            socket.create_connection((host, int(port)), HANG_S).close()
        pushing.send(b"here")
        assert take(source.queue, 1) == [b"here"]
        wait_until(lambda: source.problem.startswith("800 connections"))
        assert source.is_connected

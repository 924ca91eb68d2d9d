"""Messages over ZMQ: what the table of fields says is what subscribers get; who sends never waits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from jsonschema import Draft202012Validator
from judged import judged_rows
from limits import HANG_S

from stream_service.errors import ConfigError
from stream_service.publishers import zmq_messages
from stream_service.publishers.messages import (
    FIELDS,
    TOPICS,
    RunNamed,
    Topic,
    encoded,
    qc_rows,
    run_start,
    run_stop,
    schema,
)
from stream_service.publishers.zmq_messages import ZmqMessages
from stream_service.settings.service_status import NO_RUN

NAMED = RunNamed(3, "scan_µ")


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/messages"


@pytest.fixture
def messages(address: str) -> Iterator[ZmqMessages]:
    made = ZmqMessages(address)
    yield made
    made.close()


class Subscriber:
    """Whoever has subscribed to some topics of an address."""

    def __init__(self, messages: ZmqMessages, *topics: str) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.SUB)
        # as messages.md says: of a connection whose subscriber has no room libzmq drops the rest when it ends
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, int(1000 * HANG_S))
        for topic in topics:
            self.socket.setsockopt_string(zmq.SUBSCRIBE, topic)
        self.socket.connect(messages.address)
        self.messages = messages

    def is_heard(self) -> None:
        """Wait until what is sent is for this subscriber, too."""
        self.socket.setsockopt(zmq.RCVTIMEO, 20)
        give_up_s = time.monotonic() + HANG_S
        while True:
            assert time.monotonic() < give_up_s, "nothing is heard"
            self.messages.send(Topic.RUN_START, lambda: iter([run_start(NAMED, "", None)]))
            try:
                self.socket.recv_multipart()
                break
            except zmq.Again:
                continue
        self.socket.setsockopt(zmq.RCVTIMEO, int(1000 * HANG_S))

    def take(self, topic: Topic) -> dict[str, Any]:
        """The next message of a topic, checked against its schema."""
        while True:
            said, text = self.socket.recv_multipart()
            if said.decode() == topic:
                message = json.loads(text)
                Draft202012Validator(schema(topic)).validate(message)
                return message

    def close(self) -> None:
        self.context.destroy(linger=0)


@pytest.fixture
def subscriber(messages: ZmqMessages) -> Iterator[Subscriber]:
    made = Subscriber(messages, "")
    made.is_heard()
    yield made
    made.close()


def one(topic: Topic) -> dict[str, Any]:
    """A message of each topic, in which everything that can be missing is."""
    match topic:
        case Topic.RUN_START:
            return run_start(NAMED, "/data/scan_std.h5", None)
        case Topic.QC_ROW:
            rows = judged_rows(1)
            rows["x_m"] = rows["score"] = rows["numbers"] = np.nan
            rows["planned"] = -1
            return next(qc_rows(NAMED, rows))
        case Topic.RUN_STOP:
            return run_stop(NAMED, NO_RUN)


@pytest.mark.parametrize("topic", Topic)
def test_messages_are_what_their_schema_says(topic: Topic) -> None:
    Draft202012Validator.check_schema(schema(topic))
    said, text = encoded(topic, 7, one(topic))
    message = json.loads(text)
    Draft202012Validator(schema(topic)).validate(message)
    assert list(message) == [field.name for field in FIELDS[topic]]
    assert (said.decode(), message["message"], message["sequence"]) == (topic, topic, 7)
    assert set(TOPICS) == set(Topic)


def test_a_rejected_row_is_told_with_its_reason_in_words() -> None:
    message = list(qc_rows(NAMED, judged_rows(3, rejected=(1,))))[1]
    assert message["words"] == "intensity -62 % against its neighbours"
    assert (message["row"], message["unique_id"], message["x_m"]) == (1, [101], 1e-6)
    assert (message["rejected"], message["provisional"], message["replaces"]) == (True, True, None)


def test_subscribers_get_what_is_sent_in_order_and_counted(messages: ZmqMessages, subscriber: Subscriber) -> None:
    rows = judged_rows(5, rejected=(2,))
    messages.send(Topic.QC_ROW, lambda: qc_rows(NAMED, rows), len(rows))
    messages.send(Topic.RUN_STOP, lambda: iter([run_stop(NAMED, replace(NO_RUN, rows=5))]))
    taken = [subscriber.take(Topic.QC_ROW) for _ in rows]
    assert [message["sequence"] for message in taken] == [0, 1, 2, 3, 4]
    assert [message["rejected"] for message in taken] == [False, False, True, False, False]
    assert subscriber.take(Topic.RUN_STOP)["rows"] == 5


def test_nothing_is_made_while_nobody_has_subscribed_and_its_number_is_passed_over(messages: ZmqMessages) -> None:
    made: list[int] = []

    def make() -> Iterator[dict[str, Any]]:
        made.append(1)
        return qc_rows(NAMED, judged_rows(1))

    messages.send(Topic.QC_ROW, make)
    while not messages._sequences[Topic.QC_ROW]:  # the thread has not taken it yet
        assert messages._thread.is_alive()
        time.sleep(0.001)
    with closing(Subscriber(messages, "")) as late:
        late.is_heard()
        assert made == []
        messages.send(Topic.QC_ROW, make)
        assert late.take(Topic.QC_ROW)["sequence"] == 1


def test_of_what_the_thread_cannot_take_the_oldest_goes_and_leaves_a_gap(
    messages: ZmqMessages, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zmq_messages, "MOST_UNSENT", 10)
    rows = judged_rows(4)
    with messages._changed:  # so that the thread takes nothing meanwhile
        for _ in range(5):
            messages.send(Topic.QC_ROW, lambda: qc_rows(NAMED, rows), 4)
    assert [subscriber.take(Topic.QC_ROW)["sequence"] for _ in range(8)] == list(range(12, 20))


def test_a_subscriber_that_takes_nothing_holds_nobody_up(
    messages: ZmqMessages, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zmq_messages, "END_S", 0.2)
    rows = judged_rows(1000)
    n_sent = 3 * zmq_messages.HIGH_WATER_MARK
    for _ in range(n_sent // len(rows)):
        messages.send(Topic.QC_ROW, lambda: qc_rows(NAMED, rows), len(rows))
    messages.send(Topic.RUN_STOP, lambda: iter([run_stop(NAMED, NO_RUN)]))
    messages.close()
    messages._thread.join(HANG_S)
    assert not messages._thread.is_alive()


def test_what_waits_in_zmq_is_sent_before_the_end(
    messages: ZmqMessages, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zmq_messages, "END_S", HANG_S)
    rows = judged_rows(5000)  # more than the connection holds
    messages.send(Topic.QC_ROW, lambda: qc_rows(NAMED, rows), len(rows))
    messages.send(Topic.RUN_STOP, lambda: iter([run_stop(NAMED, replace(NO_RUN, rows=5))]))
    ending = threading.Thread(target=messages.close)
    ending.start()
    ending.join(0.5)  # if it does not wait for the subscriber, it is over by now
    assert subscriber.take(Topic.RUN_STOP)["rows"] == 5
    ending.join(HANG_S)
    assert not ending.is_alive()


def test_an_address_that_is_taken_is_told_in_a_sentence(messages: ZmqMessages) -> None:
    tcp = ZmqMessages("tcp://127.0.0.1:*")
    with pytest.raises(ConfigError, match=r"messages cannot be sent at tcp://.* \(service.messages.*Address already"):
        ZmqMessages(tcp.address)
    tcp.close()


@pytest.mark.parametrize("address", ["tcp://203.0.113.7:5556", "ipc:///nowhere/at/all"])
def test_an_address_of_nothing_here_is_told_in_a_sentence(address: str) -> None:
    with pytest.raises(ConfigError, match=r"messages cannot be sent at .*give an address of this machine"):
        ZmqMessages(address)


@pytest.mark.parametrize(
    "address", ["tcp://nowhere", "5556", "tcp://*:65536", "inproc://a", " ", "ipc://a\0", "tcp://\ud800:1"]
)
def test_an_address_that_is_none_is_told_in_a_sentence(address: str) -> None:
    with pytest.raises(ConfigError, match="it must be an address as tcp://"):
        ZmqMessages(address)


@pytest.mark.parametrize("said", [b"\2qc.row", b"Xqc.row", b"\0qc", b"", b"\1no topic"])
def test_what_one_subscriber_says_costs_others_no_messages(
    messages: ZmqMessages, subscriber: Subscriber, said: bytes
) -> None:
    other = subscriber.context.socket(zmq.XSUB)
    other.connect(messages.address)
    other.send(said)
    other.send(b"\1run.stop")
    deadline = time.monotonic() + HANG_S
    while b"run.stop" not in messages._prefixes and time.monotonic() < deadline:
        messages.send(Topic.RUN_START, lambda: iter(()))  # the thread looks who has subscribed
    assert messages._prefixes == {b"", b"run.stop"}
    messages.send(Topic.QC_ROW, lambda: qc_rows(NAMED, judged_rows(1)))
    assert subscriber.take(Topic.QC_ROW)["sequence"] == 0
    other.close(linger=0)

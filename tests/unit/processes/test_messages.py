"""Messages come out of a pipe as they went in, in whatever pieces they come; what is none is an error."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from limits import HANG_S

from stream_service.processes.messages import HEAD, MOST_TEXT_BYTES, Inbox, Message, MessageError, packed
from stream_service.processes.piped import PipedProcess

MOST_BYTES = 1 << 20
ARRAYS = {
    "pixels": np.arange(12, dtype=np.uint16).reshape(3, 4)[:, ::-1],
    "rows": np.array([(7, [0.5, 1.5])], [("id", "i8"), ("of", "f4", (2,))]),
    "none": np.zeros((0, 4)),
    "one": np.array(2.5),
}

Pipe = tuple[Inbox, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """The inbox at one end, and what is written into at the other."""
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    with open(ends[0], "rb"), open(ends[1], "wb", buffering=0, closefd=False):
        yield Inbox(ends[0], MOST_BYTES), ends[1]
        os.close(ends[1])


def check(message: Message | None) -> None:
    assert message is not None and message.facts == {"n": 1, "text": "µ"}
    assert list(message.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert message.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(message.arrays[name], array)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_messages_come_in_whatever_pieces(pipe: Pipe, size: int) -> None:
    inbox, to = pipe
    one = b"".join(packed({"n": 1, "text": "µ"}, ARRAYS))
    sent, came = 2 * one, []
    for start in range(0, len(sent), size):
        os.write(to, sent[start : start + size])
        while (message := inbox.next()) is not None:
            came.append(message)
    assert len(came) == 2 and inbox.n_bytes == len(sent)
    for message in came:
        check(message)


def test_the_end_of_the_pipe_is_told_however_often_it_is_asked(pipe: Pipe) -> None:
    inbox, to = pipe
    os.write(to, b"".join(packed({}))[:-1])
    assert inbox.next() is None
    os.dup2(os.open(os.devnull, os.O_WRONLY), to)
    for _ in range(2):
        with pytest.raises(EOFError):
            inbox.next()


def framed(text: bytes) -> bytes:
    return HEAD.pack(len(text)) + text


def of_arrays(*told: object) -> bytes:
    return framed(json.dumps({"facts": {}, "arrays": told}).encode())


@pytest.mark.parametrize(
    "sent",
    [
        HEAD.pack(MOST_TEXT_BYTES + 1),
        framed(b"{"),
        framed(b"\xff"),
        framed(b"[]"),
        framed(b"[" * 100_000),
        framed(b'{"facts": 1, "arrays": []}'),
        of_arrays(1),
        of_arrays(["a", "<f8", [1 << 62]]),
        of_arrays(["a", "<f8", [-1, -1]]),
        of_arrays(["a", "<f8", [0.5]]),
        of_arrays(["a", "|O", [1]]),
        of_arrays(["a", [["b", "|O"]], [1]]),
        of_arrays(["a", "no type", [1]]),
        of_arrays(["a", "f8,", ["1"]]),
        of_arrays(["a", "|u1", [MOST_BYTES]], ["b", "|u1", [1]]),
    ],
)
def test_what_is_no_message_is_an_error(pipe: Pipe, sent: bytes) -> None:
    inbox, to = pipe
    writer = threading.Thread(target=os.write, args=(to, sent))
    writer.start()  # more than a pipe holds
    with pytest.raises(MessageError):
        while inbox.next() is None:
            pass
    os.set_blocking(to, False)
    writer.join(HANG_S)


def no_thread(*_: object) -> None:
    raise RuntimeError("can't start new thread")


def no_file() -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize(
    ("what", "instead", "words"),
    [
        ("threading.Thread.start", no_thread, "can't start new thread"),
        ("tempfile.TemporaryFile", no_file, "Too many open files"),
    ],
)
def test_a_process_that_cannot_be_started_is_told(
    monkeypatch: pytest.MonkeyPatch, what: str, instead: Callable[..., None], words: str
) -> None:
    monkeypatch.setattr(what, instead)
    process = PipedProcess("json", [], MOST_BYTES)
    assert process.wait(HANG_S)
    with pytest.raises(EOFError):
        process.inbox.next()
    assert process.exit_code() is None and not process.is_running
    assert process.why_ended() == f"it cannot be started: {words}"
    process.close()
    process.close()

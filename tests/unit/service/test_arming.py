"""An arming is decided once or has never been: cancelled, too long, abandoned, or stopped by a defect of ours."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from limits import HANG_S
from scripted_run import Bench

from stream_service.cancellation import Cancellation
from stream_service.core.run import RunState
from stream_service.core.stream import Begin
from stream_service.errors import SourceError
from stream_service.publishers.service_pvs import Command, Order
from stream_service.service.arming import Arming
from stream_service.service.arming_queue import MOST_GIVEN_UP, ArmingQueue


class DeadIoc(Bench):
    """A run whose PVs are waited for until `answers` is set, or the arming is cancelled."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, n_positions=1)
        self.answers, self.is_waiting = threading.Event(), threading.Event()
        self.sources.connect = self._connect  # type: ignore[method-assign]

    def _connect(self, cancellation: Cancellation) -> None:
        self.is_waiting.set()
        if not cancellation.wait_until(self.answers.is_set, HANG_S):
            raise SourceError("no answer from SIM:X")


class Client:
    """Client that waits for the completion of a put."""

    connected = True


class Answers:
    """Answers to the orders of a queue."""

    def __init__(self, make_run: Callable[[Order], Any]) -> None:
        self.given: list[tuple[Any, str]] = []
        self.is_decided = threading.Event()
        self.queue = ArmingQueue(make_run, lambda _, run, error: self.given.append((run, error)), self.is_decided.set)

    def order(self, client: Client | None = None) -> None:
        self.queue.add(Order(Command.ARM, "{}", asyncio.Event(), client))
        self.queue.begin_next(lambda: None)

    def wait(self) -> tuple[Any, str]:
        assert self.is_decided.wait(HANG_S)
        self.is_decided.clear()
        self.queue.look()
        return self.given[-1]


@pytest.fixture
def dead(tmp_path: Path) -> DeadIoc:
    return DeadIoc(tmp_path)


def test_armed_run_is_handed_over_once_and_is_to_be_started(dead: DeadIoc) -> None:
    dead.answers.set()
    answers = Answers(lambda _: dead.run)
    answers.order()
    assert answers.wait() == (dead.run, "")
    assert dead.run.state is RunState.ARMED and not len(answers.queue)
    assert not dead.sources.queue.is_closed


def test_cancelled_arming_is_answered_at_once_and_leaves_nothing(dead: DeadIoc) -> None:
    answers = Answers(lambda _: dead.run)
    answers.order()
    assert dead.is_waiting.wait(HANG_S)
    assert answers.queue.message == "arming of scan: waiting for PVs and the frames' channel"
    answers.queue.cancel("given up, because Abort was put while it was armed")
    assert answers.given == [(None, "the arming of scan was given up, because Abort was put while it was armed")]
    answers.queue.join()
    assert dead.sources.queue.is_closed and dead.sources.readbacks.is_closed
    assert dead.run.state is RunState.IDLE and answers.queue.message == ""


def test_run_that_is_armed_after_all_is_given_up_too(dead: DeadIoc, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step does not notice the cancellation: a disk that hangs, and then does not."""
    hangs, is_there = threading.Event(), threading.Event()

    def prepare(begin: Begin) -> None:
        is_there.set()
        assert hangs.wait(HANG_S)

    dead.answers.set()
    monkeypatch.setattr(dead.run.setup, "prepare", prepare)
    arming = Arming(lambda: dead.run)
    assert is_there.wait(HANG_S)
    assert arming.cancel()
    hangs.set()
    arming.join(HANG_S)
    assert not arming.is_decided and arming.run is None
    assert dead.sources.queue.is_closed


def test_decided_arming_cannot_be_cancelled(dead: DeadIoc) -> None:
    dead.answers.set()
    arming = Arming(lambda: dead.run)
    arming.join(HANG_S)
    assert not arming.cancel() and arming.run is dead.run


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_arming_without_a_free_thread_is_refused(dead: DeadIoc, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(lambda _: dead.run)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    answers.order()
    answers.queue.look()
    assert answers.given == [(None, "no thread can be started for it (can't start new thread): end other programs")]


def test_armed_run_without_a_free_thread_has_failed(dead: DeadIoc, monkeypatch: pytest.MonkeyPatch) -> None:
    dead.answers.set()
    dead.run.arm()
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    dead.run.start()
    assert dead.run.state is RunState.FAILED and dead.run.join(0)
    assert dead.run.message.startswith("no thread can be started for the run (can't start new thread)")
    assert dead.sources.queue.is_closed


@pytest.mark.parametrize("where", ["connect", "doubts", "begin"])
def test_defect_is_told_with_its_traceback_and_the_next_run_is_armed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    benches = [Bench(tmp_path / str(n), n_positions=1) for n in range(2)]
    for bench in benches:
        bench.profile.service.data_root.mkdir()

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("injected")

    setattr(benches[0].sources, where, broken)
    made = iter(benches)
    answers = Answers(lambda _: next(made).run)
    with caplog.at_level(logging.ERROR):
        answers.order()
        run, error = answers.wait()
    assert run is None and "a defect of the service, ZeroDivisionError('injected')" in error
    assert benches[0].sources.queue.is_closed
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "in broken" in logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]
    answers.order()
    assert answers.wait() == (benches[1].run, "")


def test_defect_before_there_is_a_run_is_told_too() -> None:
    def broken(_: Order) -> Any:
        raise KeyError("injected")

    answers = Answers(broken)
    answers.order()
    assert "a defect of the service, KeyError('injected')" in answers.wait()[1]


def test_client_that_goes_away_takes_its_arming_along(dead: DeadIoc) -> None:
    client, answers = Client(), Answers(lambda _: dead.run)
    answers.order(client)
    assert dead.is_waiting.wait(HANG_S)
    answers.queue.look()
    assert answers.given == []
    client.connected = False
    answers.queue.look()
    assert answers.given == [(None, "the arming of scan was given up, because the client that armed has gone")]
    answers.queue.join()
    assert dead.sources.queue.is_closed


def test_run_is_not_handed_over_to_a_client_that_has_gone(dead: DeadIoc) -> None:
    client, answers = Client(), Answers(lambda _: dead.run)
    dead.answers.set()
    answers.order(client)
    assert answers.is_decided.wait(HANG_S)
    client.connected = False
    answers.queue.look()
    assert answers.given[0][0] is None
    assert dead.sources.queue.is_closed and dead.run.state is RunState.ABORTED


def test_arming_that_does_not_end_is_given_up_in_words(dead: DeadIoc, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(lambda _: dead.run)
    answers.order()
    assert dead.is_waiting.wait(HANG_S)
    monkeypatch.setattr(Arming, "is_too_long", True)
    answers.queue.look()
    assert answers.given[0][1].endswith("after 60 s; it was still waiting for PVs and the frames' channel")


def test_what_was_ordered_before_an_abort_is_cancelled_with_it(dead: DeadIoc) -> None:
    answers = Answers(lambda _: dead.run)
    answers.order()
    answers.order()
    answers.queue.cancel("given up")
    assert [error for _, error in answers.given] == ["the arming of scan was given up", "the arming was given up"]


def test_threads_that_hang_are_bounded_and_the_refusal_says_where(tmp_path: Path) -> None:
    hangs = threading.Event()
    entered = threading.Semaphore(0)

    def make_run(_: Order) -> Any:
        entered.release()
        assert hangs.wait(HANG_S)
        raise SourceError("too late")

    answers = Answers(make_run)
    for _ in range(MOST_GIVEN_UP):
        answers.order()
        assert entered.acquire(timeout=HANG_S)
        answers.queue.cancel("given up")
    answers.order()
    assert answers.given[-1][1].endswith("do not end; the first is still reading the request")
    hangs.set()
    answers.queue.join()
    answers.order()
    assert answers.wait() == (None, "too late")

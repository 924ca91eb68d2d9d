"""Orders to arm, worked on one after the other; what ends a run overtakes them, and nobody waits for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from stream_service.publishers.service_pvs import Order
from stream_service.run.run import Run
from stream_service.service.arming import LIMIT_S, Arming

MOST_GIVEN_UP = 8
"""Armings that were cancelled and do not end, since a file server hangs: no more threads are lost to it."""
GIVEN_UP_S = 1.0
"""For a cancelled arming to end, when the service ends."""

Answer = Callable[[Order, Run | None, str], None]
"""Told of each order once: the run that was armed for it, or why none was."""


class ArmingQueue:
    """The orders that are not decided, the first of them being armed."""

    def __init__(self, make_run: Callable[[Order], Run], answer: Answer, on_decided: Callable[[], None]) -> None:
        """`make_run` and `on_decided` are called in the thread of an arming."""
        self._make_run, self._answer, self._on_decided = make_run, answer, on_decided
        self._waiting: deque[Order] = deque()
        self._current: tuple[Order, Arming] | None = None
        self._given_up: list[Arming] = []
        """Cancelled, and not yet ended."""

    def __len__(self) -> int:
        return len(self._waiting) + self.is_arming

    @property
    def is_arming(self) -> bool:
        return self._current is not None

    @property
    def message(self) -> str:
        """Present step of the arming, in words; empty if nothing is armed."""
        if self._current is None:
            return ""
        arming = self._current[1]
        return f"arming{arming.scan}: {arming.step}"

    def add(self, order: Order) -> None:
        self._waiting.append(order)

    def look(self) -> None:
        """Hand over what has been armed, and give up what takes too long or what nobody waits for any more."""
        if self._current is None:
            return
        order, arming = self._current
        if order.is_abandoned:
            self._cancel_current("given up, because the client that armed has gone")
        elif arming.is_decided:
            self._current = None
            self._answer(order, arming.run, arming.error)
        elif arming.is_too_long:
            self._cancel_current(f"given up after {LIMIT_S:g} s; it was still {arming.step}")

    def begin_next(self, on_begin: Callable[[], None]) -> None:
        """Begin to arm for the next order, if the one before is decided."""
        if self._current is not None or not self._waiting:
            return
        order = self._waiting.popleft()
        on_begin()
        self._given_up = [arming for arming in self._given_up if arming.is_working]
        if len(self._given_up) >= MOST_GIVEN_UP:
            why = f"{MOST_GIVEN_UP} armings that were given up do not end; the first is still {self._given_up[0].step}"
            self._answer(order, None, why)
            return
        self._current = order, Arming(lambda: self._make_run(order), self._on_decided)

    def cancel(self, why: str) -> None:
        """Leave nothing of what was ordered until now."""
        self._cancel_current(why)
        while self._waiting:
            self._answer(self._waiting.popleft(), None, f"the arming was {why}")

    def join(self) -> None:
        """Give what was cancelled some time to end."""
        for arming in self._given_up:
            arming.join(GIVEN_UP_S)

    def _cancel_current(self, why: str) -> None:
        if self._current is None:
            return
        order, arming = self._current
        self._current = None
        if arming.cancel():
            self._given_up.append(arming)
        elif arming.run is not None:
            arming.run.disarm()
        self._answer(order, None, f"the arming{arming.scan} was {why}")

"""Messages to systemd, as `sd_notify(3)` has it: ready, what the daemon does, that its main loop turns, stopping.

A datagram to the socket that systemd names in the environment. Where it names none, and where it does not take one,
nothing is told: the service goes on alike. Nothing here ever waits.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

from stream_service.text.utf8 import encoded

log = logging.getLogger(__name__)

SOCKET, WATCHDOG, WATCHDOG_OF = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
STATUS_S = 1.0
"""Between two statuses: systemd logs none of them, but takes each."""
MOST_CHARACTERS = 500


class Systemd:
    """The service manager that has started this process; called by the main loop alone."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """The environment is that which systemd has made."""
        address = environment.get(SOCKET, "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address[:1] in ("/", "\0"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        elif address:
            log.warning("systemd is not told anything: %s is %s, which is no UNIX socket", SOCKET, address)
        self._period_s = _period_s(environment) if self._socket is not None else 0.0
        self._is_ready = self._is_ready_told = False
        self._fed_s = self._said_s = -float("inf")
        self._said = self._words = ""

    def ready(self) -> None:
        """The service can be used. Told at a later turn where it is not taken now: systemd ends who never says it."""
        self._is_ready = True
        self._is_ready_told = self._tell("READY=1")

    def stopping(self) -> None:
        """The service ends, which may take as long as a run's last frames."""
        self._tell("STOPPING=1")

    def say(self, words: str, now_s: float) -> None:
        """What the service does, for `systemctl status`; once a second at most, the last words when it is closed."""
        self._words = " ".join(words.split())[:MOST_CHARACTERS]
        if now_s - self._said_s >= STATUS_S and self._say():
            self._said_s = now_s

    def turned(self, now_s: float) -> None:
        """The main loop has turned once more. Told in half the time after which systemd takes it for hanging."""
        if self._is_ready and not self._is_ready_told:
            self.ready()
        is_due = self._period_s and now_s - self._fed_s >= self._period_s
        if is_due and self._tell("WATCHDOG=1"):
            self._fed_s = now_s

    def close(self) -> None:
        """Tell nothing more: what was said last stays in `systemctl status`."""
        if self._socket is not None:
            self._say()
            self._socket.close()
            self._socket = None

    def _say(self) -> bool:
        """True if there is something new to say, and it was taken."""
        if self._words == self._said or not self._tell(f"STATUS={self._words}"):
            return False
        self._said = self._words
        return True

    def _tell(self, text: str) -> bool:
        """False if it was not taken: nobody is there, or as much is there as the socket holds."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto(encoded(text), self._address)
        except OSError:
            return False
        return True


def _period_s(environment: Mapping[str, str]) -> float:
    """Half of the time that systemd waits for this process; 0 where it does not wait."""
    if environment.get(WATCHDOG_OF, str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(0, int(environment.get(WATCHDOG, "0"))) / 2e6
    except (ValueError, OverflowError):
        log.warning("systemd's watchdog is not fed: %s is %r", WATCHDOG, environment[WATCHDOG])
        return 0.0

"""What systemd is told, over real sockets."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from limits import HANG_S
from scripted_run import profile_for

from stream_service.service import daemon
from stream_service.service.systemd import Systemd


@pytest.fixture(params=["a file", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "a file" else f"@ptychostream test {os.getpid()}"


@pytest.fixture
def manager(address: str) -> Iterator[socket.socket]:
    """systemd's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        manager.settimeout(HANG_S)
        yield manager


def told(manager: socket.socket) -> list[str]:
    """What has come by now."""
    manager.setblocking(False)
    words = []
    while True:
        try:
            words.append(manager.recv(4096).decode())
        except BlockingIOError:
            return words


def test_all_is_told_in_the_words_of_sd_notify(manager: socket.socket, address: str) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())})
    systemd.ready()
    systemd.say("RECEIVING scan:\n  12 rows", 0.0)
    systemd.turned(0.0)
    systemd.stopping()
    assert told(manager) == ["READY=1", "STATUS=RECEIVING scan: 12 rows", "WATCHDOG=1", "STOPPING=1"]
    systemd.close()


def test_watchdog_is_fed_in_half_its_time_and_only_by_a_loop_that_turns(manager: socket.socket, address: str) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"})
    for now_s in (0.0, 0.1, 0.9, 1.0, 1.1, 2.5):
        systemd.turned(now_s)
    assert told(manager) == ["WATCHDOG=1"] * 3
    systemd.close()


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "much"},
        {"WATCHDOG_USEC": "9" * 400},
        {"WATCHDOG_USEC": "-1"},
    ],
)
def test_watchdog_of_nobody_or_of_another_is_not_fed(
    manager: socket.socket, address: str, watchdog: dict[str, str]
) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address} | watchdog)
    systemd.turned(0.0)
    assert told(manager) == []
    systemd.close()


def test_same_words_are_said_once_and_others_once_a_second(manager: socket.socket, address: str) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address})
    for words, now_s in (("a", 0.0), ("a", 5.0), ("b", 5.1), ("c", 5.2), ("d", 6.2)):
        systemd.say(words, now_s)
    assert told(manager) == ["STATUS=a", "STATUS=b", "STATUS=d"]
    systemd.close()
    assert told(manager) == []


def test_last_words_are_said_however_soon_they_follow(manager: socket.socket, address: str) -> None:
    """They stay in `systemctl status` of a service that has ended."""
    systemd = Systemd({"NOTIFY_SOCKET": address})
    for words, now_s in (("DRAINING", 0.0), ("COMPLETE", 0.1)):
        systemd.say(words, now_s)
    systemd.close()
    assert told(manager) == ["STATUS=DRAINING", "STATUS=COMPLETE"]


@pytest.mark.parametrize("address", ["", "/nobody/is/here", "vsock:2:1234"])
def test_service_that_nobody_listens_to_goes_on_alike(address: str) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"})
    systemd.ready()
    systemd.turned(0.0)
    systemd.close()
    systemd.stopping()


def test_manager_that_takes_nothing_holds_up_nobody(manager: socket.socket, address: str) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"})
    for number in range(10_000):  # more than any socket holds
        systemd.turned(float(number))
    assert set(told(manager)) == {"WATCHDOG=1"}
    systemd.close()


def test_readiness_that_was_not_taken_is_told_again(manager: socket.socket, address: str) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:  # until it holds no more
                other.sendto(b"STATUS=another", address.replace("@", "\0"))
    systemd.ready()
    assert "READY=1" not in told(manager)
    for now_s in (0.1, 0.2):
        systemd.turned(now_s)
    assert told(manager) == ["READY=1"]
    systemd.close()


def test_words_that_are_no_text_are_said_as_far_as_they_are(manager: socket.socket, address: str) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address})
    systemd.say("file of \udcff\0\x1b[2J", 0.0)
    (status,) = told(manager)
    assert status.startswith("STATUS=file of ")
    systemd.close()


def test_main_loop_that_hangs_feeds_no_watchdog(
    manager: socket.socket, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "CaServer", lambda prefix: SimpleNamespace(publish=lambda status: None))
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    service = daemon.Service(profile_for(tmp_path))
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        assert goes_on.wait(HANG_S)

    monkeypatch.setattr(service, "_obey", hang)
    thread = threading.Thread(target=service._turn)
    thread.start()
    assert hangs.wait(HANG_S)
    assert "WATCHDOG=1" not in told(manager)
    goes_on.set()
    thread.join(HANG_S)
    service._faces.systemd.close()
    assert "WATCHDOG=1" in told(manager)

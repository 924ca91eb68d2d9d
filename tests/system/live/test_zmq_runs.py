"""Runs over sockets of ZMQ: one after the other, beside strangers and rubbish, by two endpoints, and too slow ones.

ADZMQ pushes, encrypted, to an address that the daemon has; the control unit's stream comes by two endpoints, to a
daemon in auto mode.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import pytest
import zmq
import zmq.auth
from limits import HANG_S
from rig import Rig, start_rig
from transports import identities, ledger, profile_of, status_of

from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import EndReason
from stream_service.testing.loopback import LoopbackEpics, free_port
from stream_service.text.utf8 import text_in_waveform

SHAPE = (96, 128)
"""Of frames of which few fit into the buffers of the network."""
POLL_MS = 50
GONE_S = 2.0


def address(port: int) -> str:
    return f"tcp://127.0.0.1:{port}"


class Keys:
    """Certificates of CURVE, and the folder of those that may connect to the daemon."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.known = folder, folder / "known"
        self.known.mkdir()
        for name in ("service", "beamline", "stranger"):
            zmq.auth.create_certificates(folder, name)

    def let_in(self, *names: str) -> None:
        """These and nobody else."""
        for path in self.known.iterdir():
            path.unlink()
        for name in names:
            (self.known / f"{name}.key").write_bytes((self.folder / f"{name}.key").read_bytes())

    def give(self, socket: zmq.Socket, own: str, server: str) -> None:
        """Make it a client that has the keys of `own`."""
        socket.curve_publickey, secret = zmq.auth.load_certificate(self.folder / f"{own}.key_secret")
        assert secret is not None
        socket.curve_secretkey = secret
        socket.curve_serverkey, _ = zmq.auth.load_certificate(self.folder / f"{server}.key")


class TwoEndpoints:
    """What a control unit sends, handed on by two endpoints in turn."""

    def __init__(self, source_port: int, keys: Keys) -> None:
        self.ports = (free_port(), free_port())
        self._context: zmq.Context = zmq.Context()
        self._context.linger = 0
        self._from = self._context.socket(zmq.PULL)
        keys.give(self._from, "stranger", "beamline")
        self._from.connect(address(source_port))
        self._to = [self._context.socket(zmq.PUSH) for _ in self.ports]
        for socket, port in zip(self._to, self.ports, strict=True):
            socket.bind(address(port))
        self._is_to_end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        n = 0
        while not self._is_to_end.is_set():
            to = self._to[n % len(self._to)]
            if to.poll(POLL_MS, zmq.POLLOUT) and self._from.poll(POLL_MS):
                to.send_multipart(self._from.recv_multipart())
                n += 1

    def close(self) -> None:
        self._is_to_end.set()
        self._thread.join()
        self._context.destroy(linger=0)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"adzmq": free_port(), "stream2": free_port()}


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any], keys: Keys, ports: dict[str, int]) -> Any:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ZMQ_SNDHWM", "10")  # NDPluginZMQ heeds it, too
        return start_ioc(
            *("--shape", f"{SHAPE[0]},{SHAPE[1]}", "--stack", 16),
            *("--zmq", f"{address(ports['adzmq'])} PUSH CONNECT", "--zmq-curve", keys.folder / "beamline.key_secret"),
            *("--zmq-server-key", keys.folder / "service.key"),
            *("--stream2", address(ports["stream2"]), "--simplon-encoding", "bslz4"),
        )


@pytest.fixture(scope="module")
def pushed(
    ioc: Any, keys: Keys, ports: dict[str, int], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """A daemon to which the sender of ADZMQ connects."""
    keys.let_in("beamline", "stranger")
    curve = {"own": str(keys.folder / "service.key_secret"), "senders": str(keys.known)}
    frames = {"bind": address(ports["adzmq"]), "socket": "pull", "curve": curve}
    folder = tmp_path_factory.mktemp("pushed")
    service = {"drain_s": 1.0}
    profile = profile_of("adzmq", ioc.prefix, SHAPE, **frames)
    with closing(start_rig(ioc.prefix, epics, folder, server="adzmq", service=service, **profile)) as rig:
        rig.beamline.put_all(ZMQ1__EnableCallbacks=1, Sim__DropIds="")
        yield rig


@pytest.fixture(scope="module")
def endpoints(ioc: Any, keys: Keys, ports: dict[str, int]) -> Iterator[TwoEndpoints]:
    with closing(TwoEndpoints(ports["stream2"], keys)) as endpoints:
        yield endpoints


@pytest.fixture(scope="module")
def pulled(
    ioc: Any, endpoints: TwoEndpoints, epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """A daemon in auto mode, to which a control unit pushes by two endpoints."""
    profile = profile_of("stream2", ioc.prefix, SHAPE, connect=[address(port) for port in endpoints.ports])
    service = {"auto": True, "grace_s": HANG_S, "drain_s": 1.0, "gone_s": GONE_S}
    folder = tmp_path_factory.mktemp("pulled")
    with closing(start_rig(ioc.prefix, epics, folder, server="stream2", service=service, **profile)) as rig:
        yield rig


@pytest.mark.further
def test_runs_follow_one_another_over_a_socket_that_is_closed_in_between(pushed: Rig) -> None:
    for number in range(3):
        before = pushed.counter()
        assert pushed.arm(f"scan{number}", n_positions=5) == ""
        pushed.beamline.acquire(5)
        assert pushed.wait_for_end() == "COMPLETE"
        pushed.beamline.acquire(1)  # nobody's
        with pushed.open(f"scan{number}") as file:
            assert identities(file) == [(0, before + 1 + place) for place in range(5)]


def test_rubbish_between_frames_is_counted_and_told_and_costs_none(
    pushed: Rig, keys: Keys, ports: dict[str, int]
) -> None:
    header = {"htype": "array-1.0", "type": "uint16", "shape": SHAPE, "frame": 1, "timeStamp": 1.0, "encoding": ""}
    rubbish: list[list[bytes]] = [
        [b""],
        [b"\xff" * 10_000],
        [json.dumps(header).encode()],
        [json.dumps(header).encode(), b"too short"],
        [json.dumps(header | {"encoding": "blosc"}).encode(), bytes(2 * SHAPE[0] * SHAPE[1])],
        [b'{"htype":"dimage-1.0","series":1,"frame":0}', b"{}", b"", b"{}"],
    ]
    before = pushed.counter()
    assert pushed.arm("rubbish", n_positions=10) == ""
    with zmq.Context() as context, context.socket(zmq.PUSH) as stranger:
        stranger.linger = 0
        keys.give(stranger, "stranger", "service")
        stranger.connect(address(ports["adzmq"]))
        for n, message in enumerate(rubbish, 1):
            stranger.send_multipart(message)
            pushed.service.wait_for("BadMessages", n)
            pushed.beamline.acquire(1)
    pushed.beamline.acquire(10 - len(rubbish))
    assert pushed.wait_for_end() == "COMPLETE"
    with pushed.open("rubbish") as file:
        assert identities(file) == [(0, before + 1 + place) for place in range(10)]
        assert ledger(file) == {"expected": 10, "stored": 10}
    assert f"{len(rubbish)} frames could not be used, the first because a message" in pushed.service.get("Message")


@pytest.mark.further
def test_daemon_that_is_held_up_loses_frames_and_names_them(pushed: Rig) -> None:
    n, before, n_dropped = 600, pushed.counter(), pushed.beamline.get("ZMQ1:DroppedOutputArrays_RBV")
    assert pushed.arm("held_up", n_positions=n) == ""
    pushed.beamline.acquire(5)
    pushed.service.wait_for("FramesReceived", 5)
    os.kill(pushed.child.process.pid, signal.SIGSTOP)
    try:
        pushed.beamline.acquire(n - 10)
    finally:
        os.kill(pushed.child.process.pid, signal.SIGCONT)
    n_dropped = pushed.beamline.get("ZMQ1:DroppedOutputArrays_RBV") - n_dropped
    assert n_dropped > 50
    pushed.service.wait_for("FramesReceived", n - 5 - n_dropped)  # the sender has room again
    pushed.beamline.acquire(5)
    pushed.service.wait_for("FramesReceived", n - n_dropped)
    pushed.service.put("Stop", 1)
    assert pushed.wait_for_end() == "INCOMPLETE"
    with pushed.open("held_up") as file:
        lost = status_of(file, FrameStatus.LOST)
        assert ledger(file) == {"expected": n, "stored": n - n_dropped, "lost": n_dropped}
        assert sorted(identities(file) + lost) == [(0, before + 1 + place) for place in range(n)]


def test_sender_without_the_key_is_refused_in_words(pushed: Rig, keys: Keys) -> None:
    keys.let_in("stranger")
    refused = pushed.arm("refused", n_positions=3)
    assert "no sender at tcp://127.0.0.1:" in refused and "are the keys right (detector.frames, curve)?" in refused
    keys.let_in("beamline")
    pushed.beamline.put("Sim:ZmqRestart", 1)  # ZMQ does not try again where it was refused
    assert pushed.arm("let_in", n_positions=3) == ""
    pushed.beamline.acquire(3)
    assert pushed.wait_for_end() == "COMPLETE"


def scan_by_hand(rig: Rig, n_points: int, n_lost: int = 0) -> tuple[str, Path]:
    """A scan that nobody announced, stopped at its end: its state, its file."""
    rig.service.wait_for("Standby", 1)
    old, runs = set(rig.folder.glob("*_std.h5")), rig.service.get("RunNumber")
    for point in range(n_points):
        rig.beamline.put("X", 0.2 * point)
        rig.beamline.acquire(2)
    rig.service.wait_until(lambda: rig.service.get("RunNumber") == runs + 1)
    rig.service.wait_until(lambda: rig.service.get("FramesReceived") == 2 * n_points - n_lost)
    rig.service.put("Stop", 1)
    state = rig.wait_for_end()
    (made,) = set(rig.folder.glob("*_std.h5")) - old
    return state, made


@pytest.mark.further
def test_series_by_two_endpoints_are_scans_that_nobody_announced(pulled: Rig) -> None:
    for n_points in (4, 2):
        state, path = scan_by_hand(pulled, n_points)
        with h5py.File(path) as file:
            assert sorted(identities(file)) == [(place, frame) for place in range(n_points) for frame in (1, 2)]
            assert state == "COMPLETE" and not file["/entry/frames/flags"][()].any()


def test_last_frame_that_is_lost_is_missed_though_nobody_announced_the_scan(pulled: Rig) -> None:
    pulled.beamline.put("Sim:DropIds", str(pulled.counter() + 4))
    state, path = scan_by_hand(pulled, 2, n_lost=1)
    pulled.beamline.put("Sim:DropIds", "")
    with h5py.File(path) as file:
        assert sorted(identities(file)) == [(0, 1), (0, 2), (1, 1)]
        assert state == "INCOMPLETE" and status_of(file, FrameStatus.LOST) == [(1, 2)]


def test_plan_is_armed_while_another_run_receives_from_the_same_socket(pulled: Rig) -> None:
    old, runs = set(pulled.folder.glob("*_std.h5")), pulled.service.get("RunNumber")
    pulled.service.wait_for("Standby", 1)
    pulled.beamline.acquire(3)
    pulled.service.wait_until(lambda: pulled.service.get("RunNumber") == runs + 1)
    assert pulled.arm("after", n_positions=40) == ""
    pulled.beamline.acquire(30, exposure_s=0.002)
    pulled.beamline.acquire(10, exposure_s=0.002)
    assert pulled.wait_for_end() == "COMPLETE", pulled.service.get("Message")
    pulled.service.wait_for("Health", "READY")  # the one before has ended, too
    made = {path.name.split("_")[0]: path for path in set(pulled.folder.glob("*_std.h5")) - old}
    in_series = [(0, frame) for frame in range(1, 31)] + [(1, frame) for frame in range(1, 11)]
    for path, expected in ((made["auto"], [(0, 1), (0, 2), (0, 3)]), (made["after"], in_series)):
        with h5py.File(path) as file:
            assert sorted(identities(file)) == expected
            assert file["/entry/run/state"][()] == b"COMPLETE"


@pytest.mark.further
def test_endpoints_that_are_gone_are_named_and_end_the_run_though_the_detector_answers(
    pulled: Rig, endpoints: TwoEndpoints
) -> None:
    """Last: they do not come back."""
    assert pulled.arm("cut_off", n_positions=10) == ""
    pulled.beamline.acquire(4)
    pulled.service.wait_for("FramesReceived", 4)
    messages = pulled.service.watch("Message")
    endpoints.close()
    assert pulled.wait_for_end() == "INCOMPLETE"
    said = [text_in_waveform(message.value) for message in messages]
    names = ", ".join(f"{address(port)} (Stream2)" for port in endpoints.ports)
    assert any(f"no answer from {names}: is the IOC running? The run ends unless" in text for text in said), said
    assert pulled.service.get("EndReason") == EndReason.DETECTOR_GONE
    assert pulled.service.get("FramesStored") == 4

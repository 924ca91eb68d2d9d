"""The same exposures by every transport: the same file, and of what is lost the same account.

There is one beamline, with a daemon for each transport, so that every fault is that of all. PVA and ADZMQ count the
frames as the detector does; SIMPLON and Stream2 count those of each series, and each arming of the detector is one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import pytest
from beamline_client import Event
from transports import DIALECTS, SERIES, Senders, Transports, identities, ledger, status_of
from typer.testing import CliRunner

from stream_service.cli.main import app
from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import EndReason
from stream_service.testing.loopback import LoopbackEpics
from stream_service.text.utf8 import text_in_waveform

N_POINTS, N_FLY = 8, 40
SPEED_UM_S = 2.0
STAMP_S = 0.3e-6
"""How far a stamp of ADZMQ, a number of seconds since 1990, may be from that of PVA."""
GONE_S = 5.0
"""Longer than a sender takes to start again."""
DRAIN_S = 1.0
"""How long a run waits for the frames that were lost at its end; the tests wait for those that were not."""
COUNTING = ("pva", "adzmq")


@pytest.fixture(scope="module")
def ioc_and_transports(
    start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Transports]]:
    senders = Senders.on_free_ports()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ZMQ_SNDHWM", "10")  # NDPluginZMQ heeds it, too
        ioc = start_ioc(*senders.options)
    service = {"gone_s": GONE_S, "grace_s": 60.0, "drain_s": DRAIN_S}
    transports = Transports(ioc.prefix, senders, epics, tmp_path_factory.mktemp("transports"), **service)
    yield ioc, transports
    transports.close()


@pytest.fixture
def transports(ioc_and_transports: tuple[Any, Transports]) -> Iterator[Transports]:
    """Without the faults of the test before."""
    yield (found := ioc_and_transports[1])
    if ioc_and_transports[0].process.poll() is None:
        found.beamline.put_all(Sim__DropIds="", Sim__DuplicateIds="", Sim__Reorder=0)


def step_scan(transports: Transports, n_points: int = N_POINTS) -> None:
    """Each position is a series."""
    for x_um, y_um in np.random.default_rng(1).uniform(-1, 1, (n_points, 2)):
        transports.beamline.put("X", x_um)
        transports.beamline.put("Y", y_um)
        transports.beamline.acquire(1, exposure_s=0.01)


def fly_scan(transports: Transports) -> None:
    beamline = transports.beamline
    beamline.put("X", -1.0)
    beamline.put("X.VELO", SPEED_UM_S)
    beamline.put("X", 6.0, wait=False)
    beamline.acquire(N_FLY, exposure_s=0.01, period_s=0.02)
    beamline.put("X.STOP", 1)
    beamline.put("X.VELO", 20.0)


SCANS: dict[str, tuple[int, Callable[[Transports], None]]] = {"step": (N_POINTS, step_scan), "fly": (N_FLY, fly_scan)}


@pytest.mark.parametrize("how", SCANS)
def test_same_scan_gives_the_same_file_over_every_transport(transports: Transports, how: str) -> None:
    n, scan = SCANS[how]
    before = transports.arm(how, n_positions=n)
    scan(transports)
    assert set(transports.wait_for_ends().values()) == {"COMPLETE"}
    found = {}
    for name, file in transports.each(how):
        counted = [(0, before + 1 + place) for place in range(n)]
        in_series = [(0, 1 + place) for place in range(n)] if how == "fly" else [(place, 1) for place in range(n)]
        assert identities(file) == (in_series if name in SERIES else counted), name
        assert ledger(file) == {"expected": n, "stored": n}, name
        columns = ("data", "mask", "pos", "energy_eV", "exposure_s", "frames/flags")
        found[name] = {column: file[f"/entry/{column}"][()] for column in columns}
    pva = found.pop("pva")
    moved_m = np.ptp(pva["pos"], axis=0)
    assert moved_m.max() > 0.5e-6 and (pva["frames/flags"] == 0).mean() > 0.5 and len(np.unique(pva["data"])) > 100
    for name, other in found.items():
        off_m = 0.0 if name in SERIES or how == "step" else SPEED_UM_S * 1e-6 * STAMP_S
        np.testing.assert_allclose(other.pop("pos"), pva["pos"], rtol=0, atol=off_m, err_msg=name)
        for column, values in other.items():
            np.testing.assert_array_equal(values, pva[column], err_msg=f"{column} over {name}", strict=True)


def test_lost_frames_are_named_wherever_they_are_in_the_run(transports: Transports) -> None:
    n, lost = 12, (1, 5, 6, 12)
    before = transports.arm("lost", n_positions=n)
    transports.beamline.put("Sim:DropIds", ",".join(str(before + place) for place in lost))
    transports.beamline.acquire(n)
    transports.wait_until_each(lambda rig: rig.service.get("FramesReceived") == n - len(lost))
    transports.stop(*COUNTING)  # the others hear of the end of the series
    assert set(transports.wait_for_ends().values()) == {"INCOMPLETE"}
    said = transports.say("Message")
    for name, file in transports.each("lost"):
        first = 0 if name in SERIES else before
        assert identities(file) == [(0, first + place) for place in range(1, n + 1) if place not in lost], name
        assert status_of(file, FrameStatus.LOST) == [(0, first + place) for place in lost], name
        assert ledger(file) == {"expected": n, "stored": n - len(lost), "lost": len(lost)}, name
        assert f"missing ids: {first + 1}, {first + 5}-{first + 6}, {first + 12}" in said[name]
        assert transports.rigs[name].service.get("EndReason") == EndReason.FRAMES_LOST, name


def test_frames_sent_twice_and_out_of_order_are_stored_once(transports: Transports) -> None:
    n = 20
    before = transports.arm("shuffled", n_positions=n)
    transports.beamline.put_all(Sim__DuplicateIds=f"{before + 3},{before + 9}-{before + 10}", Sim__Reorder=4)
    transports.beamline.acquire(n)
    assert set(transports.wait_for_ends().values()) == {"COMPLETE"}
    for name, file in transports.each("shuffled"):
        first = 0 if name in SERIES else before
        assert sorted(identities(file)) == [(0, first + place) for place in range(1, n + 1)], name
        assert ledger(file) == {"expected": n, "stored": n, "duplicates": 3}, name


def test_of_a_step_scan_the_lost_positions_are_named(transports: Transports) -> None:
    lost = (1, 4, N_POINTS)
    before = transports.arm("lost_steps", n_positions=N_POINTS)
    transports.beamline.put("Sim:DropIds", ",".join(str(before + place) for place in lost))
    step_scan(transports)
    transports.wait_until_each(lambda rig: rig.service.get("FramesReceived") == N_POINTS - len(lost))
    transports.stop(*COUNTING)
    assert set(transports.wait_for_ends().values()) == {"INCOMPLETE"}
    for name, file in transports.each("lost_steps"):
        missing = [(place - 1, 1) if name in SERIES else (0, before + place) for place in lost]
        assert status_of(file, FrameStatus.LOST) == missing, name
        assert ledger(file) == {"expected": N_POINTS, "stored": N_POINTS - 3, "lost": 3}, name


def test_sender_that_starts_again_between_two_series(transports: Transports) -> None:
    """What a publisher sends before its subscriber is there again, nobody gets; a control unit keeps it."""
    n = 6
    before = transports.arm("restarted", n_positions=2 * n)
    transports.beamline.acquire(n)
    transports.wait_until_each(lambda rig: rig.service.get("FramesReceived") == n)
    transports.beamline.put("Sim:ZmqRestart", 1)
    transports.beamline.acquire(n, exposure_s=0.05)
    assert set(transports.wait_for_ends("pva", *SERIES).values()) == {"COMPLETE"}
    transports.stop("adzmq")
    states = transports.wait_for_ends()
    for name, file in transports.each("restarted"):
        lost = status_of(file, FrameStatus.LOST)
        assert name == "adzmq" or not lost
        assert states[name] == ("INCOMPLETE" if lost else "COMPLETE")
        expected = [(0, before + place) for place in range(1, 2 * n + 1)]
        if name in SERIES:  # the second one is number 1 again
            expected = [(epoch, place) for epoch in (0, 1) for place in range(1, n + 1)]
        assert sorted(identities(file) + lost) == expected, name


def test_control_unit_that_starts_again_in_a_series(transports: Transports) -> None:
    n = 40
    before = transports.arm("broken_off", n_positions=n)
    transports.begin_exposing(n, period_s=0.1)  # the restart comes well before the end
    transports.wait_until_each(lambda rig: rig.service.get("FramesReceived") >= 5)
    transports.beamline.put("Sim:ZmqRestart", 1)
    transports.beamline.wait_for("cam1:Acquire_RBV", "Done")
    transports.stop(*DIALECTS)
    states, stored = transports.wait_for_ends(), {}
    for name, file in transports.each("broken_off"):
        lost = status_of(file, FrameStatus.LOST)
        first = 0 if name in SERIES else before
        assert sorted(identities(file) + lost) == [(0, first + place) for place in range(1, n + 1)], name
        assert states[name] == ("INCOMPLETE" if lost else "COMPLETE"), name
        stored[name] = n - len(lost)
    assert stored["pva"] == n and all(5 <= stored[name] < n for name in SERIES), stored


def test_daemons_that_are_held_up_lose_frames_and_name_them(transports: Transports) -> None:
    n, n_first = 400, 5
    before = transports.arm("held_up", n_positions=n)
    transports.beamline.acquire(n_first)
    transports.wait_until_each(lambda rig: rig.service.get("FramesReceived") == n_first)
    held_up = [transports.rigs[name].child.process.pid for name in DIALECTS]
    n_dropped = {name: -transports.n_dropped(name) for name in SERIES}
    for pid in held_up:
        os.kill(pid, signal.SIGSTOP)
    try:
        transports.beamline.acquire(n - n_first)
    finally:
        for pid in held_up:
            os.kill(pid, signal.SIGCONT)
    for name in SERIES:  # the end of the series may be one of them
        n_dropped[name] += transports.n_dropped(name)
        received = transports.rigs[name].service
        received.wait_until(lambda name=name, client=received: client.get("FramesReceived") >= n - n_dropped[name])
    transports.stop(*DIALECTS)
    states = transports.wait_for_ends()
    assert states == {"pva": "COMPLETE", **dict.fromkeys(DIALECTS, "INCOMPLETE")}
    for name, file in transports.each("held_up"):
        lost, stored = status_of(file, FrameStatus.LOST), identities(file)
        if name in SERIES:
            expected = [(0, place) for place in range(1, n_first + 1)]
            expected += [(1, place) for place in range(1, n - n_first + 1)]
            assert n_dropped[name] - len(lost) in (0, 1), name
        else:
            expected = [(0, before + place) for place in range(1, n + 1)]
        assert sorted(stored + lost) == expected, name
        assert ledger(file) == {"expected": n, "stored": n - len(lost), **({"lost": len(lost)} if lost else {})}
        assert len(lost) > 50 or name == "pva", name


@pytest.mark.recovery
def test_killed_daemons_leave_readable_files_and_the_next_ones_take_the_next_run(transports: Transports) -> None:
    """What the control unit kept for the run that was killed is not of the next one."""
    n, killed = 10_000, dict(transports.rigs)  # more than there is time for, however slow the machine is
    transports.arm("killed", n_positions=n)
    transports.begin_exposing(n, period_s=0.02)
    transports.wait_until_each(lambda rig: rig.service.get("Rows") >= 5)
    for rig in killed.values():
        rig.child.process.kill()
    last = transports.beamline.get("cam1:ArrayCounter_RBV")
    transports.beamline.wait_until(lambda: transports.beamline.get("cam1:ArrayCounter_RBV") > last + 5)
    transports.beamline.put("cam1:Acquire", 0)
    transports.beamline.wait_for("cam1:Acquire_RBV", "Done")
    transports.begin(*killed)
    before = transports.arm("next", n_positions=N_POINTS)
    step_scan(transports)
    assert set(transports.wait_for_ends().values()) == {"COMPLETE"}
    for name, file in transports.each("next"):
        places = range(N_POINTS)
        in_series, counted = [(place, 1) for place in places], [(0, before + 1 + place) for place in places]
        assert identities(file) == (in_series if name in SERIES else counted), name
        assert ledger(file) == {"expected": N_POINTS, "stored": N_POINTS}, name
    for name, rig in killed.items():
        with h5py.File(rig.folder / "killed_std.h5", swmr=True) as file:
            n_rows = len(file["/entry/data"])
            assert n_rows >= 5, name
    done = CliRunner().invoke(app, ["repair", str(killed["stream2"].folder / "killed_std.h5")])
    assert done.exit_code == 0 and f"kept {n_rows} of {n_rows} rows" in done.stdout, done.output
    with killed["stream2"].open("killed") as file:
        assert identities(file) == [(0, 1 + place) for place in range(n_rows)]


def test_sender_that_is_gone_is_told_and_ends_the_run(ioc_and_transports: tuple[Any, Transports]) -> None:
    """Last: the beamline is gone afterwards."""
    ioc, transports = ioc_and_transports
    transports.arm("gone", n_positions=50)
    transports.beamline.acquire(10)
    transports.wait_until_each(lambda rig: rig.service.get("FramesReceived") == 10)
    said = {name: rig.service.watch("Message") for name, rig in transports.rigs.items()}
    ioc.stop(signal.SIGKILL)
    assert set(transports.wait_for_ends().values()) == {"INCOMPLETE"}
    for name, rig in transports.rigs.items():
        words = "no answer from " + ("tcp://127.0.0.1:" if name in DIALECTS else ioc.prefix)
        rig.service.wait_until(lambda name=name, words=words: any(words in text_of(event) for event in said[name]))
        assert rig.service.get("EndReason") == EndReason.DETECTOR_GONE, name
        assert rig.service.get("FramesStored") == 10, name


def text_of(event: Event) -> str:
    return text_in_waveform(event.value)

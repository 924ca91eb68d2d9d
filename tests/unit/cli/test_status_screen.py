"""The screen and the line of `ptychostream status --watch`."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from stream_service.cli.beamline.status import as_object
from stream_service.cli.beamline.status_screen import ROWS, away, line, screen
from stream_service.core.account import Account
from stream_service.core.run import RunState
from stream_service.service.remote import Seen
from stream_service.settings.service_status import (
    NO_RUN,
    DataPlace,
    Health,
    Judged,
    LatestRowStatus,
    Pace,
    ReadbackStatus,
    ServiceStatus,
)
from stream_service.settings.status_table import STATUS

RUN = replace(
    NO_RUN,
    run_number=12,
    scan_id="a scan with quite a long name " * 4,
    state=RunState.RECEIVING,
    file="/data/" + "deep/" * 40 + "scan_std.h5",
    message="receiving a scan; something long is to be said of it " * 9,
    account=Account(350, 120, 2, 3, 0, 0, 0, 0),
    received=125,
    gaps=3,
    rows=122,
    rows_expected=350,
    queue_bytes=12_300_000,
    judged=Judged(100, 90, 7, 0.3, 0.9, "row 99: the beam was away " * 5),
    latest=LatestRowStatus(1.25e-6, -3e-7, 710.25, 1_790_000_000_000_000_000, 1234567.0, 3, 0.045),
)
LOST = ReadbackStatus("energy", "SIM:energy", False, 3, math.nan, "eV", 0)


def seen(run=RUN, **status) -> Seen:
    pace = Pace(replace(run, rows=run.rows - 10), 0.0, run, 1.0)
    whole = ServiceStatus(Health.BUSY, run, pace, time_s=3725.0, readbacks=(LOST,), place=DataPlace("/data", 1e9))
    whole = replace(whole, **status)
    return Seen({pv: pv.value_in(whole) for pv in STATUS}, {pv: int(pv.severity_in(whole)) for pv in STATUS})


def drawn(renderable, width: int = 80, *, is_terminal: bool = False, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    Console(
        file=stream, width=width, force_terminal=is_terminal, color_system="standard" if is_terminal else None
    ).print(renderable)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("run", [RUN, NO_RUN], ids=["everything is long", "nothing yet"])
def test_screen_fits_80_columns_and_24_lines(run) -> None:
    lines = drawn(screen("PTYCHO:", seen(run))).splitlines()
    assert len(lines) <= 24 and all(len(each) <= 80 for each in lines)


def test_screen_says_how_far_the_run_is_and_what_is_wrong_in_words() -> None:
    shown = drawn(screen("PTYCHO:", seen()), width=300)
    for words in ("RECEIVING", "run 12", "34.9 %", "122 of 350 rows, 23 s left", "up 1 h 02 min", "12.3 MB", "0.045 s"):
        assert words in shown
    for words in ("1.250 um   -0.300 um   710.25 eV", "3 frames", "SIM:energy is not connected", "1.0 GB MAJOR"):
        assert words in shown
    assert "DiskFree MAJOR" in shown and "RejectedShare MAJOR" in shown


def test_alarm_is_coloured_besides() -> None:
    assert "\x1b[1;37;41mMAJOR" in drawn(screen("PTYCHO:", seen()), is_terminal=True)


def test_what_is_not_known_is_a_dash_and_null() -> None:
    unknown = seen(NO_RUN)
    assert "how many come is not known" in drawn(screen("PTYCHO:", unknown))
    assert "nan" not in drawn(screen("PTYCHO:", unknown)).lower() + line(unknown).lower()
    found = as_object(unknown)
    assert found["Percent"] is None and found["State"] == "IDLE"
    assert found["alarms"]["ReadbacksLost"] == "MINOR"


def test_screen_is_shown_where_the_terminal_has_ascii_only() -> None:
    assert "RECEIVING" in drawn(screen("PTYCHO:", seen()), encoding="ascii", is_terminal=True)


def test_line_has_state_counts_alarms_and_message() -> None:
    said = line(seen())
    for words in ("RECEIVING", "done 34.9 %", "stored 122 rows", "lost 3 frames", "DiskFree MAJOR", "receiving a scan"):
        assert words in said
    assert "\n" not in said


def test_silence_is_said() -> None:
    assert "NO ANSWER" in drawn(away("PTYCHO:", 7.0)) and "since 7 s" in drawn(away("PTYCHO:", 7.0))


def test_every_pv_of_the_screen_is_one_of_the_status() -> None:
    assert {pv for _, pvs in ROWS for pv in pvs} <= set(STATUS)

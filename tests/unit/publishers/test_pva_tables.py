"""The tables of verdicts and readbacks as a PVA client gets them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from judged import judged_rows
from limits import HANG_S
from p4p.client.thread import Context
from p4p.nt import NTTable
from p4p.server import Server

from stream_service.publishers.pva_tables import VERDICT_COLUMNS, ReadbackTable, VerdictTable
from stream_service.settings.service_status import ReadbackStatus


@pytest.fixture
def table() -> VerdictTable:
    return VerdictTable()


@pytest.fixture
def readbacks() -> ReadbackTable:
    return ReadbackTable()


@pytest.fixture
def client(table: VerdictTable, readbacks: ReadbackTable) -> Iterator[Context]:
    served = {"X:Verdicts": table.channel, "X:Readbacks": readbacks.channel}
    with (
        Server(providers=[served], isolate=True) as server,
        Context("pva", conf=server.conf(), useenv=False) as context,
    ):
        yield context


def lines(client: Context, name: str = "Verdicts") -> list[Any]:
    return NTTable.unwrap(client.get(f"X:{name}", timeout=HANG_S))


def test_a_line_says_what_is_known_of_its_row(table: VerdictTable, client: Context) -> None:
    assert lines(client) == []
    table.post(judged_rows(3, rejected=(1,)))
    shown = lines(client)
    assert [list(line) for line in shown] == [[name for name, _ in VERDICT_COLUMNS]] * 3
    assert [(line["row"], line["unique_id"], line["x_m"]) for line in shown] == [
        (0, 100, 0),
        (1, 101, 1e-6),
        (2, 102, 2e-6),
    ]
    assert [line["rejected"] for line in shown] == [False, True, False]
    assert [line["reason"] for line in shown] == ["", "intensity -62 % against its neighbours", ""]
    assert (shown[1]["score"], shown[2]["score"]) == (0.9, 0.1)


def test_a_table_takes_the_place_of_the_one_before(table: VerdictTable, client: Context) -> None:
    table.post(judged_rows(300))
    assert len(lines(client)) == 300
    table.post(judged_rows(2))
    assert len(lines(client)) == 2
    table.post(judged_rows(1)[:0])
    assert lines(client) == []


def test_readbacks_have_a_line_each(readbacks: ReadbackTable, client: Context) -> None:
    stage = ReadbackStatus("x", "IOC:x.RBV", True, 0, 1.5, "um", 3_500_000_000)
    gone = ReadbackStatus("energy", "IOC:E", False, 3, math.nan, "", 0)
    readbacks.post((stage, gone))
    found = [dict(line) for line in lines(client, "Readbacks")]
    assert found[0] == {
        "channel": "x",
        "pv": "IOC:x.RBV",
        "connected": True,
        "severity": 0,
        "value": 1.5,
        "unit": "um",
        "time_s": 3.5,
    }
    assert (found[1]["pv"], found[1]["connected"], found[1]["severity"]) == ("IOC:E", False, 3)

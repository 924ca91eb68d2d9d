"""The table of verdicts as a PVA client gets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from judged import judged_rows
from limits import HANG_S
from p4p.client.thread import Context
from p4p.nt import NTTable
from p4p.server import Server

from stream_service.publishers.pva_tables import COLUMNS, VerdictTable


@pytest.fixture
def table() -> VerdictTable:
    return VerdictTable()


@pytest.fixture
def client(table: VerdictTable) -> Iterator[Context]:
    with (
        Server(providers=[{"X:Verdicts": table.channel}], isolate=True) as server,
        Context("pva", conf=server.conf(), useenv=False) as context,
    ):
        yield context


def lines(client: Context) -> list[Any]:
    return NTTable.unwrap(client.get("X:Verdicts", timeout=HANG_S))


def test_a_line_says_what_is_known_of_its_row(table: VerdictTable, client: Context) -> None:
    assert lines(client) == []
    table.post(judged_rows(3, rejected=(1,)))
    shown = lines(client)
    assert [list(line) for line in shown] == [[name for name, _ in COLUMNS]] * 3
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

"""Standard error of a daemon, whose reader has stopped to read, or has gone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from stream_service.text.unread_output import UnreadOutput

LINE = "a line of the log\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(writer)


def test_lines_that_nobody_reads_are_left_out_and_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = UnreadOutput(writer)
    n_written = 10_000  # 180 kB; a pipe holds 64 KiB
    for _ in range(n_written):
        output.write(LINE)
    held = os.read(reader, 1 << 20)
    output.write("read again\n")
    whole = held.decode().count(LINE)
    *_, told, last = (held + os.read(reader, 1 << 20)).decode().splitlines()
    assert told == f"{n_written - whole} lines of the log left out: nobody read them" and last == "read again"
    os.close(reader)


def test_lines_that_are_read_are_whole_whatever_their_length(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    text = "µ" * 20_000 + "\udcff\n"
    UnreadOutput(writer).write(text)
    assert os.read(reader, 1 << 20).decode() == "µ" * 20_000 + "\\udcff\n"
    os.close(reader)


def test_reader_that_has_gone_is_no_error(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    output = UnreadOutput(writer)
    assert output.write(LINE) == output.write(LINE) == len(LINE)

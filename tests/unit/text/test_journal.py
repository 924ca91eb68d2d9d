"""Priorities of log lines in the journal of systemd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from limits import HANG_S

from stream_service.text.journal import STREAM, is_journal

LOGGING = """
import logging, sys
from stream_service.text.log_lines import LogFormat, LogLevel, log_to_stderr
log_to_stderr(verbose=False, form=LogFormat(sys.argv[1]), level=LogLevel.DEBUG)
log = logging.getLogger("stream_service.run")
log.debug("looked at")
log.info("a run")
log.warning("a frame\\nand more")
log.error("a disk")
log.critical("all")
"""


def logged(form: str, *, is_in_journal: bool) -> list[str]:
    """Lines of a process that logs to a pipe, which is the journal's or another's."""
    ours, theirs = os.pipe()
    try:
        named = os.fstat(ours)
        environment = os.environ | {STREAM: f"{named.st_dev}:{named.st_ino if is_in_journal else named.st_ino + 1}"}
        subprocess.run(
            [sys.executable, "-c", LOGGING, form], stderr=theirs, env=environment, check=True, timeout=HANG_S
        )
    finally:
        os.close(theirs)
    with open(ours, encoding="utf-8") as lines:
        return lines.read().splitlines()


@pytest.mark.parametrize("form", ["text", "json"])
def test_line_in_the_journal_has_its_priority(form: str) -> None:
    lines = logged(form, is_in_journal=True)
    assert [line[:3] for line in lines] == ["<7>", "<6>", "<4>", "<3>", "<3>"]
    if form == "json":
        assert json.loads(lines[2][3:])["level"] == "WARNING"


def test_line_for_another_reader_is_as_it_was() -> None:
    assert [json.loads(line)["level"] for line in logged("json", is_in_journal=False)][:2] == ["DEBUG", "INFO"]


def test_descriptor_that_is_closed_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.close(descriptor)
    assert not is_journal(descriptor, {STREAM: f"{path.stat().st_dev}:{path.stat().st_ino}"})

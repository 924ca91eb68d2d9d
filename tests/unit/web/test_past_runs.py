"""The list of past runs, among files with whatever names."""

from __future__ import annotations

import os
from pathlib import Path

from stream_service.web.past_runs import PastRuns


def test_file_whose_name_is_no_text_can_be_sent_to_a_viewer(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff_std.h5")).touch()
    (run,) = PastRuns().below(tmp_path)["runs"]
    assert run["scan_id"] == "bad\\udcff" and run["report"] == ""
    assert all(value.encode() for value in (run["scan_id"], run["file"], run["why"]))

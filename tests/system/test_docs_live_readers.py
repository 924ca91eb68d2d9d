"""The live readers that the documentation tells people to copy follow a file that another process is writing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
N_ROWS = 40
WRITER = f"""
import sys, time
from stream_service.writer.example import START_NS, append_example_rows, example_header
from stream_service.writer.standard_file import StandardFile
with StandardFile.create("demo-output/demo_std.h5", example_header({N_ROWS})) as file:
    file.set_state("RECEIVING")
    file.flush()
    print("there", flush=True)
    for start in range(0, {N_ROWS}, 4):
        append_example_rows(file, start, start + 4)
        file.flush()
        time.sleep(0.1)
    file.set_state("COMPLETE", "all expected frames were received", START_NS)
"""


def example(page: str, words: str) -> str:
    """The Python block of a page that contains these words."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = (block for block in re.findall(r"```python[^\n]*\n(.*?)```", text, flags=re.DOTALL) if words in block)
    return found


@pytest.mark.parametrize(
    ("page", "words"),
    [("tutorials/first-scan.md", "while True"), ("how-to/read-a-file-while-it-grows.md", "def follow")],
)
def test_documented_reader_sees_every_row_while_they_come(tmp_path: Path, page: str, words: str) -> None:
    (tmp_path / "demo-output").mkdir()
    (tmp_path / "reader.py").write_text(example(page, words), encoding="utf-8")
    with subprocess.Popen([sys.executable, "-c", WRITER], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "there\n"
        reader = subprocess.run(
            [sys.executable, "reader.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
    assert writer.returncode == 0
    assert reader.returncode == 0, reader.stderr
    counts = [int(number) for number in re.findall(r"^(\d+) rows", reader.stdout, flags=re.MULTILINE)]
    assert counts[-1] == N_ROWS
    assert len(counts) > 2, "the rows came all at once: nothing was followed"

"""The live readers that the documentation tells people to copy follow a file that another process is writing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"
N_ROWS = 40
N_BEFORE = 4
"""Rows that are there before the reader has told of any."""
WRITER = f"""
from stream_service.testing.example_file import START_NS, append_example_rows, example_header
from stream_service.standard_file.write.swmr_file import StandardFile
with StandardFile.create("demo-output/demo_std.h5", example_header({N_ROWS})) as file:
    file.set_state("RECEIVING")
    for start in range(0, {N_ROWS}, {N_BEFORE}):
        append_example_rows(file, start, start + {N_BEFORE})
        file.flush()
        print("there", flush=True)
        input()
    file.set_state("COMPLETE", "all expected frames were received", START_NS)
"""


def example(page: str, words: str) -> str:
    """The Python block of a page that contains these words."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = (block for block in re.findall(r"```python[^\n]*\n(.*?)```", text, flags=re.DOTALL) if words in block)
    return found


def started(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """A Python in this folder that is talked to."""
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("page", "words"),
    [("tutorials/first-scan.md", "while True"), ("how-to/read-a-file-while-it-grows.md", "def follow")],
)
def test_documented_reader_sees_every_row_while_they_come(tmp_path: Path, page: str, words: str) -> None:
    (tmp_path / "demo-output").mkdir()
    (tmp_path / "reader.py").write_text(example(page, words), encoding="utf-8")
    with started("-c", WRITER, folder=tmp_path) as writer:
        assert writer.stdout is not None and writer.stdin is not None
        assert writer.stdout.readline() == "there\n"
        with started("-u", "reader.py", folder=tmp_path) as reader:
            assert reader.stdout is not None
            counts = []
            for line in reader.stdout:
                if found := re.match(r"(\d+) rows", line):
                    counts.append(int(found[1]))
                    writer.stdin.write("more\n")
                    writer.stdin.flush()
    assert (writer.returncode, reader.returncode) == (0, 0)
    assert counts == list(range(N_BEFORE, N_ROWS + 1, N_BEFORE)), "each flush is seen, while the writer goes on"

"""Whatever a TIFF file holds or claims, it gives frames or a `SourceError`; the next good one is read."""

from __future__ import annotations

import pytest
import tiff_scan_corpus as corpus
from reader_script import outcome


def test_mutated_tiff_files_give_frames_or_source_errors_in_bounded_memory(tmp_path):
    found = outcome("tiff_scan_reader.py", "tiff", 0, 2_000, tmp_path)
    assert sum(found.values()) == 2_000
    assert 200 < found["read"] < 1_000


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_hundred_thousand_mutated_tiff_files_do_no_harm(tmp_path, told):
    found = outcome("tiff_scan_reader.py", "tiff", 1_000_000, 1_100_000, tmp_path, told)
    assert sum(found.values()) == 100_000


def test_corpus_of_tiff_files_is_the_same_every_time():
    assert [corpus.mutated_tiff(seed) for seed in range(50)] == [corpus.mutated_tiff(seed) for seed in range(50)]

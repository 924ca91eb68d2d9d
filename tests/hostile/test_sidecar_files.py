"""Whatever a sidecar or a log holds or claims, it gives values or a `SourceError`, and the next good one is read."""

from __future__ import annotations

import pytest
import tiff_scan_corpus as corpus
from reader_script import outcome

MUTATED = {"sidecar": corpus.mutated_sidecar, "log": corpus.mutated_log}


@pytest.mark.parametrize("kind", MUTATED)
def test_mutated_files_give_values_or_source_errors_in_bounded_memory(kind, tmp_path):
    """Two thousand files in all."""
    found = outcome("tiff_scan_reader.py", kind, 0, 1_000, tmp_path)
    assert sum(found.values()) == 1_000
    assert 100 < found["read"] < 600


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", MUTATED)
def test_very_many_mutated_files_do_no_harm(kind, tmp_path, told):
    """A hundred thousand files in all."""
    found = outcome("tiff_scan_reader.py", kind, 1_000_000, 1_050_000, tmp_path, told)
    assert sum(found.values()) == 50_000


@pytest.mark.parametrize("kind", MUTATED)
def test_corpus_is_the_same_every_time(kind):
    """But for bytes that HDF5 itself leaves to chance: it writes some of its memory as it finds it."""
    first, second = ([MUTATED[kind](seed) for seed in range(50)] for _ in range(2))
    if kind == "sidecar":
        first, second = ([len(data) for data in datas] for datas in (first, second))
        assert len(set(first)) > 20, "the sizes tell files apart"
    assert first == second


def test_reader_that_says_or_does_anything_else_does_not_go_unnoticed(tmp_path):
    """Of the batches above: without this they could not fail."""
    with pytest.raises(AssertionError, match="ended with exit code 1"):
        outcome("tiff_scan_reader.py", "nothing", 0, 1, tmp_path)

"""Whatever a compressed message holds or claims, decoding it gives a frame or a `SourceError`, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys

import compressed_corpus
import pytest
from payloads import CODECS
from reader_script import outcome

BATCH = "mutated_batch.py"
READS_BEYOND = """
import ctypes, numpy as np
from mutated_batch import EndOfPage
place = EndOfPage(100_000).put(np.ones(5_000, np.uint8))
assert ctypes.string_at(place.ctypes.data, 5_000) == bytes([1]) * 5_000
print("as far as allowed", flush=True)
ctypes.string_at(place.ctypes.data, 5_001)
print("beyond")
"""


@pytest.mark.parametrize("codec", CODECS)
def test_mutated_compressed_messages_give_frames_or_source_errors_in_bounded_memory(codec, tmp_path):
    """Two thousand messages in all."""
    found = outcome(BATCH, codec, 0, 350, tmp_path)
    assert sum(found.values()) == 350
    assert 35 < found["frames"] < 175


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("codec", CODECS)
def test_very_many_mutated_messages_do_no_harm(codec, tmp_path, told):
    """A hundred thousand in all."""
    found = outcome(BATCH, codec, 1_000_000, 1_016_667, tmp_path, told)
    assert sum(found.values()) == 16_667


def test_small_payloads_that_would_be_gigabytes_are_refused_before_they_are(tmp_path):
    assert outcome(BATCH, "bombs", 0, 0, tmp_path)["refused"] == len(compressed_corpus.BOMBS)


def test_a_decoder_that_reads_beyond_its_payload_does_not_go_unnoticed():
    """Of the batches above: without this they could not fail."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", READS_BEYOND], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("as far as allowed\n", -11)


def test_compressed_corpus_is_the_same_every_time():
    first, second = ([str(compressed_corpus.mutated("blosc", seed)) for seed in range(50)] for _ in range(2))
    assert first == second

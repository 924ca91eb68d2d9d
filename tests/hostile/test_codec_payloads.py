"""Whatever a compressed message holds or claims, decoding it gives a frame or a `SourceError`, in bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import compressed_corpus
import pytest
from payloads import CODECS

BATCH = Path(__file__).with_name("mutated_batch.py")
READS_BEYOND = """
import ctypes, numpy as np
from mutated_batch import EndOfPage
place = EndOfPage(100_000).put(np.ones(5_000, np.uint8))
assert ctypes.string_at(place.ctypes.data, 5_000) == bytes([1]) * 5_000
print("as far as allowed", flush=True)
ctypes.string_at(place.ctypes.data, 5_001)
print("beyond")
"""


def in_process_of_its_own(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def outcome(*arguments: object) -> dict[str, int]:
    """Report of the batch; fails the test if it did not come to its end."""
    done = in_process_of_its_own(BATCH, *arguments)
    died = f"by signal {-done.returncode}" if done.returncode < 0 else f"with exit code {done.returncode}"
    assert done.returncode == 0, f"{BATCH.name} {' '.join(map(str, arguments))} ended {died}:\n{done.stderr}"
    return json.loads(done.stdout)


@pytest.mark.parametrize("codec", CODECS)
def test_mutated_compressed_messages_give_frames_or_source_errors_in_bounded_memory(codec):
    """Two thousand messages in all."""
    result = outcome(codec, 1, 350)
    assert result["frames"] + result["refused"] == 350
    assert 35 < result["frames"] < 175


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("codec", CODECS)
def test_a_hundred_thousand_mutated_messages_of_a_codec_do_no_harm(codec):
    result = outcome(codec, 2, 100_000)
    assert result["frames"] + result["refused"] == 100_000


def test_small_payloads_that_would_be_gigabytes_are_refused_before_they_are():
    assert outcome("bombs")["refused"] == len(compressed_corpus.BOMBS)


def test_a_decoder_that_reads_beyond_its_payload_does_not_go_unnoticed():
    """Of the batches above: without this they could not fail."""
    done = in_process_of_its_own("-c", READS_BEYOND)
    assert (done.stdout, done.returncode) == ("as far as allowed\n", -11)


def test_compressed_corpus_is_the_same_every_time():
    first, second = ([str(value) for value in compressed_corpus.mutations("blosc", 4, 50)] for _ in range(2))
    assert first == second

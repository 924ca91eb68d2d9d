"""A disk that fails, for real. Run as a script, it tries scenarios with so much room, and prints what came of them.

A line of its input is what is to be tried, as JSON: [SCENARIO, LACK, FORESIGHT, FOLDER, [BYTES, ...]].

LACK `limit`: no file may be longer than BYTES (EFBIG); `full`: the file system has so many left (ENOSPC; FOLDER is one
of its own). FORESIGHT `no` takes it from the product, so that it is HDF5's own write that fails. Each try has a process
of its own, which ends as any Python process does: a crash at its exit counts, too.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.errors import PtychostreamError
from stream_service.ptycho.image.export import Layout, export
from stream_service.ptycho.optics.probe_file import write_probe
from stream_service.ptycho.ptypy.closed_copy import closed_copy
from stream_service.ptycho.scan_file import ScanFile
from stream_service.run.recorded.ingest import ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.standard_file import StandardFile, validate_file
from stream_service.standard_file.write.guarded_file import GuardedFile
from stream_service.standard_file.write.sidecar_file import SidecarContents, write_sidecar
from stream_service.testing.example_file import (
    START_NS,
    append_example_rows,
    example_header,
    example_ledger,
    write_example,
)
from stream_service.testing.memory_recording import MemoryRecording, attributes_of, frames_of

N_ROWS = 60
BURST = 3


@contextmanager
def full(folder: Path, n_bytes: int) -> Iterator[None]:
    """The file system of `folder` has so many bytes left, in whole blocks."""
    ballast = folder / "ballast"
    with ballast.open("xb") as file:
        found = os.statvfs(folder)
        os.posix_fallocate(file.fileno(), 0, max(1, found.f_bavail * found.f_frsize - n_bytes))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def limited(n_bytes: int) -> Iterator[None]:
    """Writes beyond `n_bytes` of a file fail with EFBIG."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def standard_file(path: Path, _: Path) -> tuple[str, int]:
    """A run to its end, or to the first failure and then closed as a run does; the sentence, and the rows."""
    file = StandardFile.create(path, example_header(N_ROWS, frame_shape=(64, 64), dark=None, flat=None))
    sentence = ""
    try:
        for n in range(0, N_ROWS, BURST):
            append_example_rows(file, n, n + BURST)
            file.flush()
        file.write_ledger(example_ledger(N_ROWS))
        file.set_state("COMPLETE", "all expected frames were received", START_NS, "whole")
        file.close()
    except PtychostreamError as error:
        sentence = str(error)
        try:
            file.write_ledger(example_ledger(file.n_rows))
            file.set_state("FAILED", "the service could not go on", START_NS, sentence)
        except PtychostreamError:  # the disk fails further: told already
            pass
        finally:
            file.close()
    return sentence, file.n_rows


def exported(path: Path, source: Path) -> tuple[str, int]:
    return "", export(source, path, Layout.TIKE, None, force=False)


def copied(path: Path, source: Path) -> tuple[str, int]:
    return "", closed_copy(ScanFile.read(source), path).n_rows


def probe(path: Path, source: Path) -> tuple[str, int]:
    write_probe(path, ScanFile.read(source), np.ones((400, 400), np.complex64), "A probe.", force=False)
    return "", 0


def sidecar(path: Path, _: Path) -> tuple[str, int]:
    pages = np.arange(200_000)
    write_sidecar(path, SidecarContents({"posx_m": pages * 1e-9}, [""] * len(pages), pages, "the order"))
    return "", 0


def ingested(path: Path, _: Path) -> tuple[str, int]:
    recording = MemoryRecording(frames_of(60, (64, 64)), attributes_of(60))
    return "", ingest(recording, path, IngestSettings()).rows


def followed(path: Path, _: Path) -> tuple[str, int]:
    recording = MemoryRecording(frames_of(60, (64, 64)), attributes_of(60))
    return "", ingest(recording, path, IngestSettings(), live=True).rows


SCENARIOS: dict[str, Callable[[Path, Path], tuple[str, int]]] = {
    "standard_file": standard_file,
    "export": exported,
    "closed_copy": copied,
    "probe": probe,
    "sidecar": sidecar,
    "ingest": ingested,
    "followed_ingest": followed,
}
"""What is written to the first path, of a standard file at the second; what failed, in words, and the rows."""


def child(scenario: str, lack: str, folder: Path, room: int, source: Path) -> dict[str, Any]:
    """One try with so much room, and then another on a disk that has enough, in the same process."""
    path = folder / f"{room}_std.h5"
    with limited(room) if lack == "limit" else full(folder, room):
        try:
            sentence, n_rows = SCENARIOS[scenario](path, source)
        except PtychostreamError as error:
            sentence, n_rows = str(error), 0
    gc.collect()
    if path.exists():
        shutil.copy(path, folder / f"{room}.seen.h5")
        path.unlink()  # the next file may get its inode
    left = [name for name in os.listdir(folder) if name.startswith(".")]
    sentence_of_next = ""
    try:
        write_example(path, 5)
    except PtychostreamError as error:
        sentence_of_next = str(error)
    findings = [str(found) for found in validate_file(path) if found.level == "error"]
    path.unlink()
    return {"sentence": sentence, "n_rows": n_rows, "left": left, "next": [sentence_of_next, *findings]}


def attempt(scenario: str, lack: str, foresight: str, folder: Path, rooms: list[int], source: Path) -> None:
    """Each try in a process of its own; an answer a line."""
    for room in rooms:
        answer = source.with_name("answer")
        answer.unlink(missing_ok=True)
        with warnings.catch_warnings():  # threads of numpy's libraries hold nothing that a try needs (Python 3.12 on)
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            if foresight == "no":
                GuardedFile._allocate = lambda self, end, n_bytes: None  # type: ignore[method-assign]
            answer.write_text(json.dumps(child(scenario, lack, folder, room, source)))
            sys.exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        result = json.loads(answer.read_text()) if answer.exists() else {}
        print(json.dumps({"room": room, "exit_code": code, **result}), flush=True)


def main() -> None:
    folder = Path(tempfile.mkdtemp())  # no context manager, which every try would leave, too
    source = folder / "source_std.h5"
    write_example(source, N_ROWS, frame_shape=(64, 64), dark=None, flat=None)
    validate_file(source)
    warm: set[str] = set()
    while line := sys.stdin.readline():
        scenario, lack, foresight, place, rooms = json.loads(line)
        if scenario not in warm:  # once here, not once a try: imports and machine code
            SCENARIOS[scenario](folder / f"{scenario}_std.h5", source)
            warm.add(scenario)
            gc.collect()
            gc.freeze()  # what is here already is not looked at again in each try
        attempt(scenario, lack, foresight, Path(place), rooms, source)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

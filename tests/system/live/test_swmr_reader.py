"""A second process reads the file while it grows, and after its writer was killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from limits import HANG_S

from stream_service.standard_file import StandardFile, validate_file
from stream_service.testing.example_file import (
    START_NS,
    append_example_rows,
    example_header,
    example_ledger,
    write_example,
)

READER = r"""
'''Follow a file as the reference page says. Each line on stdin asks for a look, "" ends; answers are JSON lines.'''
import json, sys, time
import h5py, numpy as np
from stream_service.core.row import FEATURES_DTYPE
from stream_service.testing.example_file import example_pixels, example_row

path, mode = sys.argv[1:]
file = h5py.File(path, "r", swmr=True)
keys = {n: file[f"/entry/live/{n}"] for n in ("key_data", "key_x", "key_y")}
columns = {n: file["/entry/" + n] for n in (
    "data", "pos", "posx_m", "posy_m", "keep", "frames/unique_id", "frames/epoch", "frames/timestamp_ns",
    "frames/status", "frames/n_frames", "frames/energy_eV", "frames/exposure_s", "frames/replaces", "frames/flags",
    *(f"qc/features/{name}" for name in FEATURES_DTYPE.names))}
texts = {n: file["/entry/run/" + n] for n in ("state", "end_reason", "heartbeat")}
scalars = {n: file["/entry/" + n] for n in (
    "energy_eV", "mask", "ledger/stored", "ledger/unique_id", "readbacks/x/value")}
checked = 0
problems = []

def check_row(i):
    row = example_row(i)
    frame = columns["data"][i]
    if not np.array_equal(frame, example_pixels(i, frame.shape)):
        problems.append(f"row {i}: wrong pixels")
    for name, value in (
        ("pos", (row["x_m"], row["y_m"])), ("posx_m", row["x_m"]), ("posy_m", row["y_m"]), ("keep", 1),
        ("frames/unique_id", row["unique_id"]), ("frames/epoch", row["epoch"]),
        ("frames/timestamp_ns", row["timestamp_ns"]),
        ("frames/status", row["status"]), ("frames/n_frames", row["n_frames"]), ("frames/energy_eV", row["energy_eV"]),
        ("frames/exposure_s", row["exposure_s"]), ("frames/replaces", -1), ("frames/flags", 0),
        *((f"qc/features/{name}", row["features"][name]) for name in FEATURES_DTYPE.names)):
        if not np.array_equal(columns[name][i], value):
            problems.append(f"row {i}: {name} is {columns[name][i]}")

def look():
    global checked
    shapes_first = {}
    for name, column in columns.items():   # a reader that follows shapes sees these ...
        column.refresh()
        shapes_first[name] = column.shape[0]
    n_keys = []
    for name, key in keys.items():
        key.refresh()
        values = key[()]
        n = int(np.count_nonzero(values))
        n_keys.append(n)
        if not np.array_equal(values[:n], np.arange(1, n + 1)):
            problems.append(f"{name} has a hole or a wrong value")
    n = min(n_keys)
    for name, column in columns.items():   # ... and uses of them only what the keys confirm
        column.refresh()
        if column.shape[0] < n:
            problems.append(f"{name} has {column.shape[0]} rows, {n} are announced")
    if n < checked:
        problems.append(f"rows went back from {checked} to {n}")
    for i in range(checked, n):
        check_row(i)
    checked = max(checked, n)
    for dataset in (*texts.values(), *scalars.values()):
        dataset.refresh()
    return {
        "n_keys": n, "shape_only": min(shapes_first.values()), "problems": problems[:5],
        "state": texts["state"][()].decode(), "end_reason": texts["end_reason"][()].decode(),
        "heartbeat": int(texts["heartbeat"][()]), "energy_eV": float(scalars["energy_eV"][()]),
        "bad_pixels": int(scalars["mask"][()].sum()), "stored": int(scalars["ledger/stored"][()]),
        "ledger_rows": scalars["ledger/unique_id"].shape[0], "readbacks": scalars["readbacks/x/value"].shape[0],
    }

def all_attributes():
    found = {}
    def note(name, member):
        found[name] = {k: str(v) for k, v in member.attrs.items()}
    file.visititems(note)
    found["/"] = {k: str(v) for k, v in file.attrs.items()}
    return found

if mode == "asked":
    print(json.dumps(all_attributes()), flush=True)
    for line in iter(sys.stdin.readline, "\n"):
        print(json.dumps(look()), flush=True)
else:
    looks = []
    print("following", flush=True)
    while not looks or looks[-1]["state"] != "COMPLETE":
        looks.append(look())
        if len(looks) == 1 or looks[-1]["n_keys"] > looks[-2]["n_keys"]:
            print(looks[-1]["n_keys"], flush=True)
        time.sleep(0.001)
    print(json.dumps({"looks": len(looks), "counts": sorted({l["n_keys"] for l in looks}), "last": look()}), flush=True)
"""

WRITER = r"""
'''Write rows until told to stop living: flush 37 rows in bursts, append 5 more, and wait to be killed.'''
import os, sys, time
from stream_service.standard_file import StandardFile
from stream_service.standard_file.write.growing_rows import GrowingRows
from stream_service.testing.example_file import append_example_rows, example_header

announce = GrowingRows.announce
def dying(rows):
    if sys.argv[2] == "before the keys" and rows.n_written == 37:
        print("dying", flush=True)
        os.kill(os.getpid(), 9)
    announce(rows)
GrowingRows.announce = dying

file = StandardFile.create(sys.argv[1], example_header(100))
for start, stop in ((0, 1), (1, 20), (20, 37)):
    append_example_rows(file, start, stop)
    file.flush()
append_example_rows(file, 37, 42)
print("flushed 37", flush=True)
time.sleep(60)
"""

FRAME_SHAPE = (64, 64)


class Reader:
    """The second process, looking when asked."""

    def __init__(self, path, mode):
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def answer(self):
        line = self._process.stdout.readline()
        assert line, "the reader died"
        return line

    def look(self):
        self._process.stdin.write("look\n")
        self._process.stdin.flush()
        return json.loads(self.answer())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.stdin.write("\n")
        self._process.stdin.close()
        try:
            self._process.wait(HANG_S)
        finally:
            self._process.kill()
            self._process.stdout.close()
        assert self._process.returncode == 0


def header(n_rows):
    return example_header(n_rows, frame_shape=FRAME_SHAPE, dark=None, flat=None)


@pytest.fixture
def file(tmp_path):
    with StandardFile.create(tmp_path / "a_std.h5", header(400)) as opened:
        yield opened


def test_reader_sees_complete_rows_after_each_flush_and_none_before(file):
    rhythm = random.Random(1)
    written = 0
    with Reader(file.path, "asked") as reader:
        reader.answer()
        while written < 300:
            burst = rhythm.choice((1, 2, 7, 30, 63))
            append_example_rows(file, written, written + burst)
            seen = reader.look()
            assert seen["n_keys"] == file.n_rows <= written, "nothing is visible before its flush"
            written += burst
            file.flush()
            seen = reader.look()
            assert seen["problems"] == []
            assert seen["n_keys"] == seen["shape_only"] == seen["readbacks"] == written


def test_reader_that_never_pauses_sees_only_complete_rows(file):
    rhythm = random.Random(2)
    with Reader(file.path, "free") as reader:
        assert reader.answer() == "following\n"
        written = 0
        while written < 400:
            burst = min(rhythm.choice((1, 1, 2, 5)), 400 - written)
            append_example_rows(file, written, written + burst)
            written += burst
            file.flush()
            if written // 100 > (written - burst) // 100:  # it goes on when the reader has seen it
                while int(reader.answer()) < written:
                    pass
        file.set_state("COMPLETE")
        file.flush()
        report = json.loads(reader.answer())
    assert report["last"]["problems"] == []
    assert report["last"]["n_keys"] == 400
    assert len(report["counts"]) > 3, "the reader looked while the file grew"


def test_reader_sees_every_attribute_from_the_start(tmp_path):
    path = tmp_path / "a_std.h5"
    with StandardFile.create(path, header(10)), Reader(path, "asked") as reader:
        live = json.loads(reader.answer())
    closed = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, member: closed.update({name: {k: str(v) for k, v in member.attrs.items()}}))
        closed["/"] = {k: str(v) for k, v in file.attrs.items()}
    assert live == closed
    assert live["entry/data"]["axes"] == "translation:y:x"


def test_reader_sees_what_is_revised_in_place(file):
    with Reader(file.path, "asked") as reader:
        reader.answer()
        assert reader.look()["state"] == "ARMED"
        file.set_state("RECEIVING")
        heartbeats = [file.flush() or reader.look()["heartbeat"] for _ in range(3)]
        assert heartbeats == [1, 2, 3]
        mask = np.zeros(FRAME_SHAPE, np.uint8)
        mask[:2, :3] = 1
        file.write_mask(mask, mask.astype(np.uint32))
        file.set_scalars(energy_eV=712.5)
        file.write_ledger(example_ledger(5000))
        file.set_state("ABORTED", "aborted by the plan or the operator", START_NS)
        file.flush()
        seen = reader.look()
    assert (seen["state"], seen["end_reason"]) == ("ABORTED", "aborted by the plan or the operator")
    assert (seen["bad_pixels"], seen["energy_eV"]) == (6, 712.5)
    assert (seen["stored"], seen["ledger_rows"]) == (5000, 5000)


@pytest.mark.further(but=1)
@pytest.mark.parametrize("moment", ["after a flush", "before the keys"])
def test_killed_writer_leaves_a_file_that_is_complete_up_to_the_last_flush(tmp_path, moment):
    path = tmp_path / "a_std.h5"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), moment], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout.readline() == ("flushed 37\n" if moment == "after a flush" else "dying\n")
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait(HANG_S)
        writer.stdout.close()
    n_rows = 37 if moment == "after a flush" else 20
    reference = tmp_path / "reference.h5"
    write_example(reference, 37)
    with h5py.File(path, "r", swmr=True) as crashed, h5py.File(reference, "r") as whole:
        for name in ("key_data", "key_x", "key_y"):
            assert np.count_nonzero(crashed[f"/entry/live/{name}"][()]) == n_rows
        for name in ("data", "pos", "posx_m", "posy_m", "frames/unique_id", "frames/timestamp_ns", "qc/features/com_x"):
            assert np.array_equal(crashed[f"/entry/{name}"][:n_rows], whole[f"/entry/{name}"][:n_rows]), name
    findings = validate_file(path)
    assert [finding for finding in findings if finding.level == "error"] == []
    assert any("was not closed" in finding.message for finding in findings)


def test_name_appears_with_a_file_that_can_be_followed(tmp_path):
    """A reader that waits for the name can open the file at once: it is whole and under SWMR before it has the name."""
    path = tmp_path / "a_std.h5"
    follow = (
        "import os, sys, time, h5py\n"
        "print('waiting', flush=True)\n"
        "while not os.path.exists(sys.argv[1]): pass\n"
        "file = h5py.File(sys.argv[1], 'r', swmr=True)\n"
        "print(file['/entry/data'].shape, file['/entry/run/state'][()].decode(), flush=True)\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", follow, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "waiting\n"
        with StandardFile.create(path, header(10)) as file:
            assert reader.stdout.readline() == "(0, 64, 64) ARMED\n"
            append_example_rows(file, 0, 1)
    finally:
        reader.kill()
        reader.wait(HANG_S)
        reader.stdout.close()


def test_live_file_can_be_validated(file):
    """`ptychostream validate` on a growing file judges the rows announced, in its own process."""
    append_example_rows(file, 0, 70)
    file.flush()
    append_example_rows(file, 70, 75)
    script = (
        "import sys; from stream_service.standard_file import validate_file\n"
        "for f in validate_file(sys.argv[1]): print(f)"
    )
    child = subprocess.run(
        [sys.executable, "-c", script, os.fspath(file.path)], capture_output=True, text=True, check=True
    )
    assert "error" not in child.stdout
    assert "is being written" in child.stdout

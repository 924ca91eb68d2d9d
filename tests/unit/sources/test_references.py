"""Dark, flat and mask from files; what is wrong with a file is said in a sentence with its name."""

from __future__ import annotations

import os
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from limits import HANG_S

from stream_service.errors import ConfigError
from stream_service.processes.limited import LimitedProcessError, run_limited
from stream_service.sources.tables import references
from stream_service.sources.tables.references import read_references

IMAGE = np.arange(12.0).reshape(3, 4)


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["dark"] = IMAGE
        file["entry/flat"] = 2 * IMAGE
        file["entry/name"] = "a text"
        file["entry/names"] = np.array([[b"a"]])
        file["entry/number"] = 1.0


def load_reference(location: str, kind: str) -> np.ndarray:
    return read_references({kind: location})[kind].image


@pytest.mark.parametrize(
    ("name", "save", "location"),
    [
        ("a.npy", lambda path: np.save(path, IMAGE), "a.npy"),
        ("a.npz", lambda path: np.savez(path, dark=IMAGE, flat=2 * IMAGE), "a.npz"),
        ("a.h5", hdf5, "a.h5"),
        ("a.h5", hdf5, "a.h5:/dark"),
    ],
)
def test_image_is_found_by_its_kind_or_path(tmp_path, name, save, location):
    save(tmp_path / name)
    np.testing.assert_array_equal(load_reference(str(tmp_path / location), "dark"), IMAGE)


def test_path_in_a_file_is_followed(tmp_path):
    hdf5(tmp_path / "a.nxs")
    np.testing.assert_array_equal(load_reference(f"{tmp_path}/a.nxs:/entry/flat", "dark"), 2 * IMAGE)


def test_stack_of_frames_gives_its_median(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([IMAGE, IMAGE + 1, IMAGE + 100]))
    np.testing.assert_array_equal(load_reference(str(tmp_path / "a.npy"), "dark"), IMAGE + 1)


def broken_archive(path: Path) -> None:
    np.savez_compressed(path, dark=np.random.default_rng(0).random((50, 50)))
    content = bytearray(path.read_bytes())
    content[5000:5100] = bytes(100)
    path.write_bytes(content)


def header(path: Path, text: str) -> None:
    """A `.npy` file of nothing but a header."""
    path.write_bytes(b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text.encode() + b"\n")


def bomb(path: Path) -> None:
    """1 GB of zeros in 1 MB."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("dark.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (16384, 8200)})
        for _ in range(1025):
            member.write(bytes(1 << 20))


def huge(path: Path) -> None:
    """8 GB, of which the disk holds nothing."""
    np.lib.format.open_memmap(path, "w+", np.float64, (1000, 1000, 1000)).flush()


def huge_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("dark", (100_000, 1000, 1000), "f8", chunks=(1, 1000, 1000))


def external(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("dark", (2, 2), "u1", external=[("/etc/passwd", 0, 4)])


def lying_header(path: Path) -> None:
    """A header that promises 7 exabytes."""
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000)}"
    path.write_bytes(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117).encode() + b"\n")


@pytest.mark.further(but=11)
@pytest.mark.parametrize(
    ("location", "save", "said"),
    [
        ("a.npy", lambda path: path.write_bytes(b""), "cannot read the dark"),
        ("a.npy", lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "cannot read the dark"),
        ("a.npy", lambda path: np.save(path, np.array([{}], object)), "cannot read the dark"),
        ("a.npy", lying_header, "cannot read the dark"),
        ("a.npy", os.mkdir, "cannot read the dark .*: it is not a regular file"),
        ("a.npy", os.mkfifo, "cannot read the dark .*: it is not a regular file"),
        ("a.h5", os.mkfifo, "not a regular file"),
        ("a.npy", lambda path: path.symlink_to("/dev/zero"), "it is not a regular file"),
        ("a.npy", lambda path: header(path, "{'descr': ((((((((((("), "cannot read the dark"),
        ("a.npy", lambda path: header(path, "(" * 9000), "cannot read the dark"),
        ("a.npy", huge, r"it claims 7629 MiB; at most 1024 MiB are read: give one frame, or a smaller stack"),
        ("a.npz", bomb, r"it claims 1025 MiB; at most 1024 MiB are read"),
        ("a.h5", huge_hdf5, "at most 1024 MiB are read"),
        ("a.h5", external, r"/dark has its values \(external storage\) in /etc/passwd, outside of"),
        ("a.npy", lambda path: None, "No such file"),
        ("a.npy", lambda path: np.save(path, np.zeros(5)), r"has shape \(5,\); one frame"),
        ("a.npy", lambda path: np.save(path, np.zeros((0, 4))), "not an image of numbers"),
        ("a.npy", lambda path: np.save(path, np.zeros((2, 2), complex)), "not an image of numbers"),
        ("a.npy", lambda path: np.save(path, np.zeros((2, 2, 2, 2))), "one frame"),
        ("a.npz", lambda path: path.write_bytes(b"PK\x03\x04xxxx"), "cannot read the dark"),
        ("a.npz", broken_archive, "cannot read the dark"),
        ("a.npz", lambda path: np.savez(path, flat=IMAGE), "holds flat but no 'dark'"),
        ("a.h5", lambda path: path.write_bytes(b"no HDF5"), "cannot read the dark"),
        ("a.h5", lambda path: None, "cannot read the dark"),
        ("a.h5:/nothing", hdf5, "has no dataset /nothing"),
        ("a.h5:/entry", hdf5, "has no dataset /entry"),
        ("a.h5:/entry/name", hdf5, "not an image of numbers"),
        ("a.h5:/entry/names", hdf5, "not an image of numbers"),
        ("a.h5:/entry/number", hdf5, "one frame"),
        ("a.tif", lambda path: path.write_bytes(b"II*"), r"give a .npy, .npz or HDF5 file"),
    ],
)
def test_unusable_file_is_named_with_what_it_lacks(
    tmp_path: Path, location: str, save: Callable[[Path], object], said: str
):
    save(tmp_path / location.partition(":")[0])
    with pytest.raises(ConfigError, match=said) as caught:
        load_reference(str(tmp_path / location), "dark")
    assert str(tmp_path) in str(caught.value)


def test_all_references_of_a_run_come_of_one_process_in_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dark"], file["flat"], file["mask"] = IMAGE, 2 * IMAGE, IMAGE > 3
        file.attrs["exposure_s"] = 0.25
    np.save(tmp_path / "flat.npy", 3 * IMAGE.astype(">f4"))
    started: list[str] = []

    def counted(*arguments: object) -> bytes:
        started.append(str(arguments[0]))
        return run_limited(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(references, "run_limited", counted)
    assert read_references({}) == {} and not started, "without references nothing is started"
    locations = {"dark": tmp_path / "a.h5", "flat": tmp_path / "flat.npy", "mask": tmp_path / "a.h5"}
    found = read_references({kind: str(path) for kind, path in locations.items()})
    assert len(started) == 1
    np.testing.assert_array_equal(found["dark"].image, IMAGE)
    np.testing.assert_array_equal(found["flat"].image, 3 * IMAGE)
    np.testing.assert_array_equal(found["mask"].image, IMAGE > 3)
    assert found["dark"].exposure_s == found["mask"].exposure_s == 0.25 and np.isnan(found["flat"].exposure_s)


def test_a_median_takes_blocks_of_rows_and_is_that_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from stream_service.sources.tables import reference_reader

    stack = np.random.default_rng(1).integers(0, 1000, (9, 11, 13)).astype(np.uint16)
    monkeypatch.setattr(reference_reader, "MEDIAN_BYTES", 9 * 13 * 8 * 3)
    np.testing.assert_array_equal(reference_reader._median(stack), np.median(stack, axis=0))


def test_the_process_that_asks_takes_no_memory_for_what_is_refused(tmp_path: Path):
    huge(tmp_path / "a.npy")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConfigError):
        load_reference(str(tmp_path / "a.npy"), "dark")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ends the program .SIGSEGV"),
        ("import time; time.sleep(3600)", "it takes longer than 0.5 s"),
        ("x = bytearray(2 << 30)", "MemoryError"),
        ("import sys; print('a line', flush=True); sys.exit('the reason')", "the reason"),
        ("print('x' * (2 << 20), flush=True)", "File too large"),
    ],
)
def test_whatever_becomes_of_the_process_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code, said):
    start = "from stream_service.processes.limited import limit_this_process; limit_this_process(1 << 30, 1 << 20); "
    (tmp_path / "hostile_module.py").write_text(start + code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(LimitedProcessError, match=said):
        run_limited("hostile_module", [], 0.5 if "sleep" in code else HANG_S)


def test_a_reader_that_dies_is_told_with_the_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    np.save(tmp_path / "a.npy", IMAGE)
    whole = run_limited(references.READER, ['{"wanted": [], "folders": [], "option": ""}'], HANG_S)
    assert whole == b""

    def dies(*_: object) -> bytes:
        raise LimitedProcessError("it is damaged so that reading it ends the program (SIGSEGV)", b"")

    monkeypatch.setattr(references, "run_limited", dies)
    with pytest.raises(ConfigError, match=r"cannot read the dark .*a.npy: it is damaged so that .* \(SIGSEGV\)"):
        load_reference(str(tmp_path / "a.npy"), "dark")

"""Names in HDF5 files that are not UTF-8, such as Latin-1: shown, and followed as others are."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5a, h5g, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]
from unclosed_files import N_ROWS, h5clear, write_finished, write_killed

from stream_service.errors import SourceError
from stream_service.hdf5.opening import open_hdf5
from stream_service.sources.hdf5.recording import Hdf5Recording
from stream_service.sources.tables.recorded_readbacks import load_readbacks
from stream_service.standard_file.repair.repair import repair
from stream_service.standard_file.rules.validate import validate_file

LATIN_1 = "é".encode("latin-1")
GROUPS = ("/", "/entry", "/entry/qc/features", "/entry_1")


def group_named(parent: h5py.Group, name: bytes) -> h5py.Group:
    return h5py.Group(h5g.create(parent.id, name))


def attribute_named(member: h5py.Group | h5py.Dataset, name: bytes) -> None:
    h5a.create(member.id, name, h5t.NATIVE_INT32, h5s.create(h5s.SCALAR)).write(np.array(7, np.int32))


def with_names(path: Path) -> Path:
    with h5py.File(path, "a") as file:
        for place in GROUPS:
            group = file[place]
            assert isinstance(group, h5py.Group)
            group_named(group, LATIN_1)
            attribute_named(group, LATIN_1)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A standard file with such names in every h5 group that is looked through."""
    return with_names(write_finished(tmp_path))


def test_a_name_is_text_by_which_its_object_is_found(path: Path) -> None:
    with open_hdf5(path).file as file:
        names = list(file)
        assert all(isinstance(name, str) for name in names)
        assert all(file.get(name) is not None for name in names) and dict(file.items()).keys() == set(names)
        visited: list[str] = []
        file.visititems(lambda name, member: visited.append(name))
        assert len(visited) > 20 and all(isinstance(name, str) and name in file for name in visited)
        attributes = dict(file.attrs.items())
        assert 7 in attributes.values() and all(isinstance(name, str) for name in attributes)


def test_a_refusal_shows_the_names_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "empty.h5"
    with h5py.File(path, "w") as file:
        group_named(file, "Métadonnées".encode("latin-1"))
    with pytest.raises(SourceError, match="Métadonnées"):
        Hdf5Recording(path)


def test_frames_and_readbacks_are_read(path: Path) -> None:
    with Hdf5Recording(path) as recording:
        assert len(list(recording.frames())) == N_ROWS
    with h5py.File(path, "a") as file:
        group = file["/entry/readbacks"]
        assert isinstance(group, h5py.Group)
        group.copy(group["x"], "y")
        group.copy(group["x"], "copy")
        group.id.move(b"copy", b"temp\xe9rature")
    assert load_readbacks(path).histories.keys() == {"x", "y", "ring_current", "température"}


def test_validate_looks_behind_them(path: Path) -> None:
    assert [finding for finding in validate_file(path) if finding.level == "error"] == []
    with h5py.File(path, "a") as file:
        group_named(file, b"\xe8")["led away"] = h5py.ExternalLink("/etc/passwd", "/")
    assert any("/etc/passwd" in str(finding) for finding in validate_file(path) if finding.level == "error")


def test_repair_keeps_them(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    h5clear(path)
    output = repair(with_names(path), tmp_path / "repaired_std.h5").path
    with h5py.File(output) as file:
        assert all(f"{place}/é" in file and file[place].attrs["é"] == 7 for place in GROUPS)

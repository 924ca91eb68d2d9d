"""A new file with everything in it but rows.

It is made under a hidden name beside its own and gets its own name when it is whole and readable under SWMR, so no
reader ever meets a half-made file. An existing file is never overwritten: after a crash it may be all there is.

The format is HDF5 1.10's: SWMR needs at least that, and anything newer would shut out the HDF5 1.12 and 1.14 that
analysis environments have.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stream_service.output_file import give_name, temporary_name
from stream_service.standard_file.schema.spec import DatasetSpec, Tree
from stream_service.standard_file.write.guarded_file import GuardedFile
from stream_service.standard_file.write.write_errors import HDF5_FAILURES, write_error

LIBVER = ("v110", "v110")
"""Of h5py: the format that is said above."""
ALIGNED = {"alignment_threshold": 1, "alignment_interval": 512}
"""Of h5py: what is smaller begins nowhere but at a multiple of 512 bytes, so that none of the heads of datasets (300
bytes), which are rewritten when they grow, lies across two pages. A write within a page is done or not done when its
process is killed; one across two may be cut off, and with a head in two halves the file could not be read again."""
MAX_CHUNK_BYTES = 64 << 10
"""Of a column's chunk: it is rewritten at each flush while it fills. Frames are a chunk each whatever their size."""

CACHE_BYTES = 2 * MAX_CHUNK_BYTES
"""Of chunks of a column that HDF5 keeps: it looks at each of them at every flush, and only the last one changes. With
the 1 MiB that is usual a flush costs five times as much after 200,000 rows (measured)."""


def create_file(path: Path, tree: Tree, *, swmr: bool) -> tuple[GuardedFile, dict[str, h5py.Dataset]]:
    """Make the file and open it for appending; its datasets by the path of their spec.

    Raises `WriteError` if it exists already or cannot be made; then nothing is left behind.
    """
    unfinished = temporary_name(path)
    with _as_write_error(path, unfinished):
        if os.path.lexists(path):
            raise FileExistsError(17, "exists")
        options: dict[str, Any] = {"libver": LIBVER, "locking": "best-effort", "rdcc_nbytes": CACHE_BYTES, **ALIGNED}
        guarded = GuardedFile(unfinished, lambda file: fill(file, tree), **options)
        try:
            datasets = {spec.path: _dataset(guarded.file, spec) for spec in tree.datasets}
            if swmr:
                guarded.file.swmr_mode = True
            give_name(unfinished, path, replace=False)
            guarded.is_called(path)
        except BaseException:
            guarded.abandon()
            raise
    return guarded, datasets


@contextmanager
def _as_write_error(path: Path, unfinished: Path) -> Iterator[None]:
    try:
        yield
    except HDF5_FAILURES as error:
        raise write_error(path, "create the file", error) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _dataset(file: h5py.File, spec: DatasetSpec) -> h5py.Dataset:
    found = file[spec.path]
    assert isinstance(found, h5py.Dataset)
    return found


def fill(file: h5py.File, tree: Tree) -> None:
    """Make everything in the tree in an empty file."""
    groups: dict[str, h5py.Group] = {}
    for path, attributes in tree.groups.items():
        groups[path] = file.require_group(path)
        for name, value in attributes.items():
            groups[path].attrs[name] = value
    datasets = {}
    for spec in tree.datasets:
        folder, name = posixpath.split(spec.path)
        if folder not in groups:  # for a longer name h5py would look for each of its parts: a fifth of the time
            groups[folder] = file.require_group(folder)
        datasets[spec.path] = _create_dataset(groups[folder], name, spec)
    for spec in tree.datasets:
        for link in spec.links:
            file[link] = datasets[spec.path]
    for path, target in tree.soft_links.items():
        file[path] = h5py.SoftLink(target)


def _create_dataset(group: h5py.Group, name: str, spec: DatasetSpec) -> h5py.Dataset:
    if spec.value is not None:
        value = np.asarray(spec.value, spec.dtype)
        dataset = group.create_dataset(name, data=value, dtype=spec.dtype)
    else:
        row_bytes = max(spec.dtype.itemsize * int(np.prod(spec.item_shape)), 1)
        dataset = group.create_dataset(
            name,
            shape=(0, *spec.item_shape),
            maxshape=(None, *spec.item_shape),
            chunks=(max(1, min(spec.chunk_rows, MAX_CHUNK_BYTES // row_bytes)), *spec.item_shape),
            dtype=spec.dtype,
            fillvalue=spec.fill_value,
        )
    dataset.attrs["description"] = spec.about
    if spec.units:
        dataset.attrs["units"] = spec.units
    for key, attribute in spec.attributes.items():
        dataset.attrs[key] = attribute
    return dataset

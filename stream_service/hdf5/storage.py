"""Storage of a dataset's values: in its file, in raw files (external storage), or in datasets of other files.

HDF5 gives fill values for what it does not find. So that nothing can be missing unnoticed, every file must be there and
as long, and every dataset as large, as the dataset that points to it says.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from h5py import h5d, h5g, h5o, h5p, h5s  # pyright: ignore[reportAttributeAccessIssue]

from stream_service.errors import SourceError
from stream_service.hdf5.targets import ORIGIN, Pointer

if TYPE_CHECKING:
    from stream_service.hdf5.bounded_file import BoundedFile

BLOCK = "%b"
"""In names of a virtual dataset that grows: 0, 1, 2 and so on, as far as there are files and datasets."""
MOST_SOURCES = 1 << 16
"""Files of one virtual dataset."""
DEEPEST = 8
"""Virtual datasets of virtual datasets."""
LEAST_KEPT = 0.5
"""Of the values of a virtual dataset, those that are kept anywhere: gaps between detector modules are not."""


def is_virtual(id: h5d.DatasetID) -> bool:
    """True if the dataset is a view of others."""
    return id.get_create_plist().get_layout() == h5d.VIRTUAL


def is_elsewhere(id: h5d.DatasetID) -> bool:
    """True if its values are kept outside of the dataset itself."""
    return is_virtual(id) or id.get_create_plist().get_external_count() > 0


def opened(group: h5g.GroupID, name: bytes) -> Any:
    """The object behind a hard link: a dataset that finds raw files beside its own file, as HDF5 alone would not.

    Only one that has raw files is opened like that: HDF5 refuses it for a dataset that this process has open otherwise.
    """
    found = h5o.open(group, name)
    if not isinstance(found, h5d.DatasetID) or not found.get_create_plist().get_external_count():
        return found
    del found  # closed, so that it can be opened otherwise
    access = h5p.create(h5p.DATASET_ACCESS)
    access.set_efile_prefix(ORIGIN.encode())
    return h5d.open(group, name, access)


def check_storage(id: h5d.DatasetID, file: BoundedFile, path: str) -> None:
    """Raise `SourceError` if values of a dataset are kept where they may not be read, or are not there."""
    properties = id.get_create_plist()
    if properties.get_external_count():
        _check_raw_files(id, properties, file, path)
    if properties.get_layout() == h5d.VIRTUAL:
        _check_sources(properties, file, path)


def _check_raw_files(id: h5d.DatasetID, properties: h5p.PropDCID, file: BoundedFile, path: str) -> None:
    where, left_bytes = f"{file.path}:{path}", math.prod(id.shape or ()) * id.dtype.itemsize
    for index in range(properties.get_external_count()):
        name, offset, size = properties.get_external(index)
        found = file.target(os.fsdecode(name), Pointer.STORAGE, where)
        wanted = min(left_bytes, size)
        if (held := found.stat().st_size - offset) < wanted:
            raise SourceError(f"{where} {Pointer.STORAGE.words} {found}, which is {wanted - held} bytes too short")
        left_bytes -= wanted
    if left_bytes:
        raise SourceError(f"{where} has its values in other files, which lack {left_bytes} bytes of them")


def _check_sources(properties: h5p.PropDCID, file: BoundedFile, path: str) -> None:
    where, n_kept, n_all, is_open = f"{file.path}:{path}", 0, 0, False
    n_sources = properties.get_virtual_count()
    if n_sources > MOST_SOURCES:
        raise SourceError(f"{where} is a virtual dataset on {n_sources} others; more than {MOST_SOURCES} are refused")
    for index in range(n_sources):
        file_name, name = properties.get_virtual_filename(index), properties.get_virtual_dsetname(index)
        here, there = properties.get_virtual_vspace(index), properties.get_virtual_srcspace(index)
        if _is_unlimited(here):
            is_open = True
            n_found = sum(1 for _ in _blocks(file, file_name, name, where))
            if not n_found:
                raise SourceError(f"{where} is a virtual dataset on {file_name}, which is not there")
            continue
        n_values = here.get_select_npoints()
        _check_source(file, file_name, name, where, (there, n_values))
        n_kept += n_values
        n_all = math.prod(here.get_simple_extent_dims())
    if not n_sources or (not is_open and n_kept < LEAST_KEPT * n_all):
        raise SourceError(f"{where} is a virtual dataset of which most values are kept nowhere")


def _blocks(file: BoundedFile, file_name: str, dataset_name: str, where: str) -> Iterator[int]:
    """The blocks that are there, each checked, until there is none, as HDF5 looks for them."""
    n_most = MOST_SOURCES if BLOCK in file_name + dataset_name else 1
    for block in range(n_most):
        in_file, name = file_name.replace(BLOCK, str(block)), dataset_name.replace(BLOCK, str(block))
        if not file.has_target(in_file, Pointer.VIRTUAL) or not _check_source(file, in_file, name, where):
            return
        yield block


def _check_source(
    file: BoundedFile, file_name: str, name: str, where: str, wanted: tuple[h5s.SpaceID, int] | None = None
) -> bool:
    """See that a source may be followed, is there, and holds what is wanted of it; if nothing is, whether it is there.

    `wanted` is the selection in the source, and how many values it has.
    """
    if file.depth >= DEEPEST:
        raise SourceError(f"{where} leads from file to file more than {DEEPEST} times; that is not followed")
    shape = file.shape_of_source(file_name, name, where)
    if wanted is None:
        return shape is not None
    said = f"{where} is a virtual dataset on {file_name}:{name}, which"
    if shape is None:
        raise SourceError(f"{said} is not there")
    selection, n_values = wanted
    if not _holds(shape, selection, n_values):
        raise SourceError(f"{said} has the shape {shape}, less than it should: something is missing there")
    return True


def _holds(shape: tuple[int, ...], selection: h5s.SpaceID, n_values: int) -> bool:
    if selection.get_select_type() == h5s.SEL_ALL or not n_values or _is_unlimited(selection):
        return math.prod(shape) >= n_values
    _, last = selection.get_select_bounds()
    return len(last) == len(shape) and all(at < size for at, size in zip(last, shape, strict=True))


def _is_unlimited(space: h5s.SpaceID) -> bool:
    """True if a selection goes on without an end."""
    if space.get_select_type() != h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return False
    _, _, counts, blocks = space.get_regular_hyperslab()
    return h5s.UNLIMITED in (*counts, *blocks)

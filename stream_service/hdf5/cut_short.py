"""Parts of a dataset beyond the end of its file, because the file was not copied or written completely.

HDF5 gives zeros there without a word: it compares the sizes of a file only where no writer has left its mark, and after
`h5clear --increment` not even there. Older formats than SWMR's have no such mark, and HDF5 refuses what is cut.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from h5py import h5d  # pyright: ignore[reportAttributeAccessIssue]

from stream_service.errors import SourceError
from stream_service.hdf5.failures import COPY_AGAIN, HDF5_ERRORS

if TYPE_CHECKING:
    from stream_service.hdf5.bounded_file import BoundedFile


class CutShortError(SourceError):
    """A file that is shorter than it says."""


WITH_WRITERS_MARK = 2
"""The first version of the superblock whose files may be open for SWMR."""


def pieces_of(id: h5d.DatasetID) -> list[tuple[int, int]]:
    """First row, and byte behind the last, of each piece (chunk, or the whole) that a dataset has in its file.

    Raises what h5py does where the index of the chunks cannot be read.
    """
    pieces: list[tuple[int, int]] = []
    collect_pieces(id, pieces)
    return pieces


def collect_pieces(id: h5d.DatasetID, pieces: list[tuple[int, int]]) -> None:
    """The same into a list, which holds what was found when the index of the chunks cannot be read any further."""
    layout = id.get_create_plist().get_layout()
    if layout == h5d.CHUNKED:
        id.chunk_iter(lambda chunk: pieces.append((chunk.chunk_offset[0], chunk.byte_offset + chunk.size)))
    elif layout == h5d.CONTIGUOUS and (offset := id.get_offset()) is not None:
        pieces.append((0, offset + id.get_storage_size()))


def check_not_cut(id: h5d.DatasetID, file: BoundedFile, path: str) -> None:
    """Raise `SourceError` if values of a dataset lie beyond the end of its file."""
    if file.id.get_create_plist().get_version()[0] < WITH_WRITERS_MARK or id.get_create_plist().get_external_count():
        return
    try:
        pieces = pieces_of(id)
    except HDF5_ERRORS as error:
        if not file.swmr_mode:
            raise
        raise is_shorter(file.path, f"the index of {path} does not lie in it", file.is_standard) from error
    n_bytes = os.stat(file.path).st_size  # after the pieces, of which a writer may have added some
    n_beyond = sum(end > n_bytes for _, end in pieces)
    if n_beyond:
        raise is_shorter(
            file.path, f"{n_beyond} of {len(pieces)} pieces of {path} lie beyond its end", file.is_standard
        )


def is_shorter(path: Path, what: str, is_standard: bool) -> CutShortError:
    """The refusal of a file that was cut off: what is missing, and what to do."""
    repair = f", or see which rows `ptychostream repair {path}` can keep" if is_standard else ""
    return CutShortError(
        f"{path} is shorter than it says: {what}; it was not copied or written completely: {COPY_AGAIN}{repair}"
    )

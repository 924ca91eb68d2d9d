"""The name of a scan as its HDF5 file has it."""

from __future__ import annotations

from stream_service.errors import SourceError
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.sources.tables.recorded_units import text_of
from stream_service.standard_file.schema import paths

PLACES = (
    paths.SCAN_ID,
    f"{paths.ENTRY}/entry_identifier",
    f"{paths.CXI_ENTRY}/entry_identifier",
    f"{paths.ENTRY}/title",
    paths.CXI_TITLE,
)
"""Where the `/entry` schema, CXI and NeXus put it, the most exact first."""
LONGEST = 128
"""Characters, as of a scan_id that is asked for; what is longer tells about the scan and does not name it."""


def recorded_title(tree: Hdf5Tree) -> str:
    """One line of text; empty if the file has none. A name is never a reason to refuse a file."""
    return next((text for path in PLACES if (text := _line(tree, path))), "")


def _line(tree: Hdf5Tree, path: str) -> str:
    try:
        found = tree.find(path)
        if found is None or found.shape not in ((), (1,)) or found.dtype.kind not in "OS":
            return ""
        text = text_of(found.whole().reshape(-1)[0]).strip()
    except (SourceError, UnicodeError):
        return ""
    return text if text.isprintable() and len(text) <= LONGEST else ""

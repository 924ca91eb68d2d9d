"""Layout of an HDF5 file, recognised by its content."""

from __future__ import annotations

from stream_service.errors import SourceError
from stream_service.settings.recorded_choices import Translation
from stream_service.sources.hdf5.areadetector import is_areadetector, read_areadetector
from stream_service.sources.hdf5.contents import ChannelFinder, Contents, Hdf5Paths, TimestampField, identities_of
from stream_service.sources.hdf5.cxi import is_cxi, read_cxi
from stream_service.sources.hdf5.entry import is_entry, read_entry
from stream_service.sources.hdf5.frames import FrameStack
from stream_service.sources.hdf5.masks import add_own_mask
from stream_service.sources.hdf5.numbers import add_nexus_numbers
from stream_service.sources.hdf5.tree import Hdf5Tree

UNKNOWN = "unknown layout"


def read_contents(
    tree: Hdf5Tree, paths: Hdf5Paths, timestamp_field: TimestampField, translation: Translation | None = None
) -> Contents:
    """Explain a file. Raises `SourceError` if no layout fits and the operator did not say where the frames are."""
    contents = _explain(tree, paths, timestamp_field, translation)
    contents.check_holds(tree.file_bytes)
    return contents


def _explain(
    tree: Hdf5Tree, paths: Hdf5Paths, timestamp_field: TimestampField, translation: Translation | None
) -> Contents:
    if is_areadetector(tree):
        return read_areadetector(tree, paths, timestamp_field)
    if is_entry(tree):
        return read_entry(tree, paths)
    if is_cxi(tree):
        return read_cxi(tree, paths, translation)
    if not paths.data:
        stacks = tree.stacks()
        hint = f"name the frames by --data-path: {', '.join(stacks[:5])}" if stacks else "it holds no frames (N, y, x)"
        raise SourceError(
            f"{tree.path} is neither of areaDetector nor has it /entry/data or /entry_1 (it holds: "
            f"{tree.names_in()}); {hint}"
        )
    return _read_unknown(tree, paths)


def _read_unknown(tree: Hdf5Tree, paths: Hdf5Paths) -> Contents:
    frames = FrameStack(tree.needed(paths.data), tree.file_bytes)
    finder = ChannelFinder(frames.n_frames)
    finder.add_given(tree, paths)
    add_nexus_numbers(finder, tree)
    add_own_mask(finder, tree, frames.frame_shape)
    return finder.contents(UNKNOWN, frames, unique_ids=identities_of(tree, paths, None))

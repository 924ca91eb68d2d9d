"""Files in the `/entry` schema: the standard file, whole or as far as the user's ingestion kit goes.

Positions are the beam on the sample. A standard file with one frame a row gives the frames their own identity and
stamps again; in others a frame's place in the file is its id. Dark and flat are given only if they have not been
applied to the frames yet.
"""

from __future__ import annotations

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import FORMAT_NAME
from stream_service.sources.hdf5.columns import Identities, Stamps, unix_stamps
from stream_service.sources.hdf5.contents import (
    NUMBERS,
    ChannelFinder,
    Contents,
    Hdf5Paths,
    identities_of,
    image_of,
    length_scale,
)
from stream_service.sources.hdf5.cxi import axis_signs_of
from stream_service.sources.hdf5.frames import FrameStack
from stream_service.sources.hdf5.masks import add_own_mask
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.standard_file.schema import paths as schema

SCHEMA, STANDARD = "the /entry schema", "/entry (standard file)"
SPLIT_POSITIONS = (schema.POS_X, schema.POS_Y)


def is_entry(tree: Hdf5Tree) -> bool:
    """True if the frames are at `/entry/data`."""
    return tree.find(schema.DATA) is not None


def read_entry(tree: Hdf5Tree, paths: Hdf5Paths) -> Contents:
    """Explain a file of the `/entry` schema."""
    is_standard = tree.group_text(schema.ENTRY, "format") == FORMAT_NAME
    frames = FrameStack(tree.needed(paths.data or schema.DATA), tree.file_bytes)
    finder = ChannelFinder(frames.n_frames)
    finder.add_given(tree, paths)
    is_on_sample = not (finder.has("x") or finder.has("y"))
    _add_positions(finder, tree, paths)
    _add_numbers(finder, tree)
    _add_references(finder, tree, frames)
    if not is_standard:
        add_own_mask(finder, tree, frames.frame_shape)
    own = _own_identities(tree) if is_standard and not paths.unique_id and not paths.data else None
    ids, stamps = own if own is not None else (identities_of(tree, paths, None), None)
    return finder.contents(
        STANDARD if is_standard else SCHEMA,
        frames,
        unique_ids=ids,
        stamps=stamps,
        is_on_sample=is_on_sample,
        axis_signs=axis_signs_of(tree),
        keys=tree.find(schema.KEY_DATA) if is_standard else None,
        **(_plan(tree) if own is not None else {}),
    )


def _add_positions(finder: ChannelFinder, tree: Hdf5Tree, paths: Hdf5Paths) -> None:
    if finder.has("x") and finder.has("y"):
        return
    packed = tree.find(schema.POS)
    for component, (name, path) in enumerate(zip("xy", SPLIT_POSITIONS, strict=True)):
        if finder.has(name):
            continue
        if packed is not None:
            finder.add_position(name, name, packed, component, finder.position_scale(packed, paths))
        elif (split := tree.find(path)) is not None:
            finder.add_position(name, name, split, None, finder.position_scale(split, paths))
        else:
            raise SourceError(
                f"{tree.path} has no positions: {schema.POS} (N, 2), or {' and '.join(SPLIT_POSITIONS)}; give their "
                "paths if they are elsewhere"
            )


def _add_numbers(finder: ChannelFinder, tree: Hdf5Tree) -> None:
    """Per row where the file has that, else for the scan; a standard file has both."""
    for name, fact, scale in NUMBERS:
        for path in (f"{schema.FRAMES}/{fact}", f"{schema.ENTRY}/{fact}"):
            if not finder.has(name) and (stored := tree.find(path)) is not None:
                finder.add_recorded(name, fact, stored, scale)
        if fact not in finder.facts:
            finder.add_fact(fact, tree.find(f"{schema.ENTRY}/{fact}"), scale)
    finder.add_fact("det_dist_m", tree.find(schema.DET_DIST), length_scale)
    finder.add_fact("pixel_m", tree.find(schema.PIXEL), length_scale)


def _own_identities(tree: Hdf5Tree) -> tuple[Identities, Stamps | None] | None:
    """Ids and stamps of a standard file with one frame a row; None for one with groups, or without them."""
    ids, stamps = tree.find(schema.UNIQUE_ID), tree.find(schema.STAMPS)
    if ids is None or len(ids.shape) != 2 or ids.shape[1] != 1:
        return None
    return Identities(ids), None if stamps is None else unix_stamps(stamps)


def _plan(tree: Hdf5Tree) -> dict[str, int]:
    """Plan of the scan by the ledger of a standard file."""
    plan: dict[str, int] = {}
    expected, unexposed = (tree.find(f"{schema.LEDGER}/{name}") for name in ("expected", "not_exposed"))
    if expected is not None and expected.shape == () and expected.dtype.kind in "iu" and int(expected.whole()) > 0:
        plan["n_expected"] = int(expected.whole())
        if unexposed is not None and unexposed.shape == () and unexposed.dtype.kind in "iu":
            plan["n_exposed"] = plan["n_expected"] - int(unexposed.whole())
    ids = tree.find(f"{schema.LEDGER}/unique_id")
    if ids is not None and len(ids.shape) == 1 and ids.rows and ids.dtype.kind in "iu":
        plan["first_unique_id"] = int(ids.read(0, 1)[0])
    return plan


def _add_references(finder: ChannelFinder, tree: Hdf5Tree, frames: FrameStack) -> None:
    for path in (schema.DARK, schema.FLAT, schema.MASK):
        stored = tree.find(path)
        image = image_of(stored, frames.frame_shape)
        if stored is None or image is None:
            continue
        if path == schema.MASK:
            finder.references["mask"] = image != 0
        elif not stored.is_applied:
            finder.references[path.rpartition("/")[2]] = image

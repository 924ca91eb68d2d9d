"""Files in the `/entry` schema: the standard file, whole or as far as the user's ingestion kit goes.

Positions are the beam on the sample. A standard file with one frame a row gives the frames their own identity and
stamps again; in others a frame's place in the file is its id. Dark and flat are given only if they have not been
applied to the frames yet.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import FORMAT_NAME
from stream_service.sources.hdf5.columns import Identities, Stamps, unix_stamps
from stream_service.sources.hdf5.contents import (
    ChannelFinder,
    Contents,
    Hdf5Paths,
    energy_scale,
    exposure_scale,
    identities_of,
    image_of,
    length_scale,
)
from stream_service.sources.hdf5.cxi import axis_signs_of
from stream_service.sources.hdf5.frames import FrameStack
from stream_service.sources.hdf5.masks import add_own_mask
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.sources.recording import Facts

SCHEMA, STANDARD = "the /entry schema", "/entry (standard file)"
POSITIONS, SPLIT_POSITIONS = "/entry/pos", ("/entry/posx_m", "/entry/posy_m")


def is_entry(tree: Hdf5Tree) -> bool:
    """True if the frames are at `/entry/data`."""
    return tree.find("/entry/data") is not None


def read_entry(tree: Hdf5Tree, paths: Hdf5Paths) -> Contents:
    """Explain a file of the `/entry` schema."""
    is_standard = tree.group_text("/entry", "format") == FORMAT_NAME
    frames = FrameStack(tree.needed(paths.data or "/entry/data"), tree.file_bytes)
    finder = ChannelFinder(frames.n_frames)
    finder.add_given(tree, paths)
    is_on_sample = not (finder.has("x") or finder.has("y"))
    _add_positions(finder, tree, paths)
    _add_numbers(finder, tree)
    references = _references(tree, frames)
    for note in () if is_standard else add_own_mask(references, tree, frames.frame_shape):
        finder.note(note)
    own = _own_identities(tree) if is_standard and not paths.unique_id and not paths.data else None
    ids, stamps = own if own is not None else (identities_of(tree, paths, None), None)
    plan = _plan(tree) if own is not None else {}
    return Contents(
        layout=STANDARD if is_standard else SCHEMA,
        frames=frames,
        columns=tuple(finder.columns),
        unique_ids=ids,
        stamps=stamps,
        facts=Facts(**finder.facts),
        rules=tuple(finder.rules.values()),
        is_on_sample=is_on_sample,
        exposure_attribute=finder.exposure_attribute,
        references=references,
        axis_signs=axis_signs_of(tree),
        problems=finder.problems,
        notes=tuple(finder.notes),
        keys=tree.find("/entry/live/key_data") if is_standard else None,
        n_expected=plan.get("n_expected"),
        n_exposed=plan.get("n_exposed"),
        first_unique_id=plan.get("first_unique_id"),
    )


def _add_positions(finder: ChannelFinder, tree: Hdf5Tree, paths: Hdf5Paths) -> None:
    if finder.has("x") and finder.has("y"):
        return
    packed = tree.find(POSITIONS)
    for component, (name, path) in enumerate(zip("xy", SPLIT_POSITIONS, strict=True)):
        if finder.has(name):
            continue
        if packed is not None:
            finder.add_position(name, name, packed, component, finder.position_scale(packed, paths))
        elif (split := tree.find(path)) is not None:
            finder.add_position(name, name, split, None, finder.position_scale(split, paths))
        else:
            raise SourceError(
                f"{tree.path} has no positions: {POSITIONS} (N, 2), or {' and '.join(SPLIT_POSITIONS)}; give their "
                "paths if they are elsewhere"
            )


def _add_numbers(finder: ChannelFinder, tree: Hdf5Tree) -> None:
    """Per row where the file has that, else for the scan; a standard file has both."""
    for name, fact, scale in (("energy", "energy_eV", energy_scale), ("exposure", "exposure_s", exposure_scale)):
        if finder.has(name):
            continue
        for path in (f"/entry/frames/{fact}", f"/entry/{fact}"):
            stored = tree.find(path)
            if stored is not None and not finder.has(name):
                finder.add_recorded(name, fact, stored, scale)
    for fact in ("energy_eV", "exposure_s"):
        if fact not in finder.facts:
            finder.add_fact(fact, tree.find(f"/entry/{fact}"), energy_scale if fact == "energy_eV" else exposure_scale)
    finder.add_fact("det_dist_m", tree.find("/entry/det_dist_m"), length_scale)
    finder.add_fact("pixel_m", tree.find("/entry/pixel_m"), length_scale)


def _own_identities(tree: Hdf5Tree) -> tuple[Identities, Stamps | None] | None:
    """Ids and stamps of a standard file with one frame a row; None for one with groups, or without them."""
    ids, stamps = tree.find("/entry/frames/unique_id"), tree.find("/entry/frames/timestamp_ns")
    if ids is None or len(ids.shape) != 2 or ids.shape[1] != 1:
        return None
    return Identities(ids), None if stamps is None else unix_stamps(stamps)


def _plan(tree: Hdf5Tree) -> dict[str, int]:
    """Plan of the scan by the ledger of a standard file."""
    plan: dict[str, int] = {}
    expected, unexposed = (tree.find(f"/entry/ledger/{name}") for name in ("expected", "not_exposed"))
    if expected is not None and expected.shape == () and expected.dtype.kind in "iu" and int(expected.whole()) > 0:
        plan["n_expected"] = int(expected.whole())
        if unexposed is not None and unexposed.shape == () and unexposed.dtype.kind in "iu":
            plan["n_exposed"] = plan["n_expected"] - int(unexposed.whole())
    ids = tree.find("/entry/ledger/unique_id")
    if ids is not None and len(ids.shape) == 1 and ids.rows and ids.dtype.kind in "iu":
        plan["first_unique_id"] = int(ids.read(0, 1)[0])
    return plan


def _references(tree: Hdf5Tree, frames: FrameStack) -> dict[str, npt.NDArray[Any]]:
    references: dict[str, npt.NDArray[Any]] = {}
    for kind in ("dark", "flat", "mask"):
        stored = tree.find(f"/entry/{kind}")
        image = image_of(stored, frames.frame_shape)
        if stored is None or image is None:
            continue
        if kind == "mask":
            references[kind] = image != 0
        elif stored.text("applied").lower() not in ("true", "1"):
            references[kind] = image
    return references

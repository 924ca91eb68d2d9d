"""The mask of bad pixels that a file holds beside its frames, under the names that detectors and programs give it.

NXmx and the Eiger's own files have `pixel_mask`, whose bits all mean that a pixel does not measure or not by itself;
others have `bad` or `bad_pixels`. Wherever it stands, it is known by its name and by having the shape of a frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stream_service.sources.hdf5.contents import ChannelFinder
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.text.counted import counted

NAMES = ("pixel_mask", "bad", "bad_pixels", "bad_pixel_mask")
NXMX_DETECTOR = "/entry/instrument/detector"
PLACES = (f"{NXMX_DETECTOR}/pixel_mask", f"{NXMX_DETECTOR}/detectorSpecific/pixel_mask")
"""Where a link may lead into another file, as in the Eiger's master file."""
MOST_LOOKED_AT = 32


def add_own_mask(
    finder: ChannelFinder, tree: Hdf5Tree, frame_shape: tuple[int, int], but: tuple[str, ...] = ()
) -> None:
    """Enter True where any of the file's masks is not 0 into `mask` (y, x), with a note of what was taken.

    `but` are paths that the layout has read already.
    """
    references = finder.references
    for stored in _candidates(tree, but):
        is_of_numbers = stored.is_numeric or stored.dtype == np.bool_
        if not is_of_numbers or stored.shape not in (frame_shape, (1, *frame_shape)):
            if len(stored.shape) >= 2:
                finder.note(f"{stored.path} is left out: {stored.shape} {stored.dtype} is not a mask of these frames")
            continue
        bad = stored.whole().reshape(frame_shape) != 0
        references["mask"] = bad | (references["mask"] != 0) if "mask" in references else bad
        finder.note(f"{stored.path} is taken as a mask: it calls {counted(int(np.count_nonzero(bad)), 'pixel')} bad")


def _candidates(tree: Hdf5Tree, but: tuple[str, ...]) -> Iterator[StoredDataset]:
    found: dict[str, StoredDataset] = {}
    for stored in (tree.find(place) for place in PLACES):
        if stored is not None:
            found[stored.path] = stored
    for name in NAMES:
        for stored in tree.named(name):
            if len(found) < MOST_LOOKED_AT:
                found.setdefault(stored.path, stored)
    yield from (stored for stored in found.values() if stored.path not in but)

"""CXI files (`/entry_1`), by the specification and as the user's schema has them.

CXI's `translation` is the motion of the sample, so its sign is reversed: positions come out as the beam on the sample.
Many programs write there where the probe is; nothing in a file tells, so a note says what was assumed.
Its energy is in joules unless it says otherwise. A mask is 0 and 1, or bits of which one does not mean a bad pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.settings.recorded_choices import Translation
from stream_service.sources.hdf5.contents import (
    ChannelFinder,
    Contents,
    Hdf5Paths,
    exposure_scale,
    identities_of,
    image_of,
    length_scale,
)
from stream_service.sources.hdf5.frames import FrameStack
from stream_service.sources.hdf5.masks import add_own_mask
from stream_service.sources.hdf5.numbers import Light, add_photon_energy, light_in
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.sources.tables.recorded_units import text_of
from stream_service.standard_file.schema import paths as cxi

LAYOUT = "CXI (/entry_1)"
FRAMES = (f"{cxi.PLOT_1}/data", cxi.CXI_DATA, f"{cxi.CXI_ENTRY}/data/data")
TRANSLATIONS = (cxi.TRANSLATION, f"{cxi.PLOT_1}/translation", f"{cxi.DETECTOR}/translation")
POSITIONERS = f"{cxi.CXI_ENTRY}/instrument/positioners"
"""With `x` and `y` of a stage, as some write them beside `data/data`."""
BEAM = light_in(cxi.BEAM, f"{cxi.SAMPLE}/beam_1")
SOURCE = light_in(cxi.SOURCE)
MONOCHROMATOR = light_in(f"{cxi.INSTRUMENT}/monochromator_1")
PTYCHO_DEFINITION = "NXcxi_ptycho"
EXPOSURES = tuple(f"{cxi.DETECTOR}/{name}" for name in ("count_time", "exposure_time", "exposure"))
MASKS = (cxi.CXI_MASK, cxi.PIXEL_MASK)
HAS_SIGNAL = 0x1000
"""The one flag of a CXI pixel mask that does not mean a bad pixel."""


def is_cxi(tree: Hdf5Tree) -> bool:
    """True if there is an entry of CXI."""
    return tree.has_group(cxi.CXI_ENTRY)


def read_cxi(tree: Hdf5Tree, paths: Hdf5Paths, translation: Translation | None = None) -> Contents:
    """Explain a CXI file."""
    found = tree.needed(paths.data) if paths.data else tree.first(*FRAMES)
    frames = FrameStack(found or tree.needed(FRAMES[1]), tree.file_bytes)
    finder = ChannelFinder(frames.n_frames)
    finder.add_given(tree, paths)
    is_on_sample = not (finder.has("x") or finder.has("y"))
    if is_on_sample and tree.first(*TRANSLATIONS) is None:
        is_on_sample = not _add_positioners(finder, tree, paths)
    _add_translation(finder, tree, paths, translation)
    add_photon_energy(finder, tree, _light_of(finder, tree))
    exposure = tree.first(*EXPOSURES)
    if exposure is not None and not finder.has("exposure"):
        finder.add_recorded("exposure", "exposure_s", exposure, exposure_scale)
    finder.add_fact("det_dist_m", tree.find(f"{cxi.DETECTOR}/distance"), length_scale)
    finder.add_fact("pixel_m", tree.find(f"{cxi.DETECTOR}/x_pixel_size"), length_scale)
    images = (image_of(tree.find(path), frames.frame_shape) for path in MASKS)
    if masks := [_is_bad(image) for image in images if image is not None]:
        finder.references["mask"] = np.logical_or.reduce(masks)
    add_own_mask(finder, tree, frames.frame_shape, but=MASKS)
    ids = identities_of(tree, paths, None)
    return finder.contents(LAYOUT, frames, unique_ids=ids, is_on_sample=is_on_sample, axis_signs=axis_signs_of(tree))


def axis_signs_of(tree: Hdf5Tree) -> tuple[int, int] | None:
    """Signs of rows and columns: 1 if they grow with +y and +x, -1 if against them; from CXI's basis vectors."""
    found = tree.find(cxi.BASIS_VECTORS)
    if found is None:
        return None
    # one vector per image axis, slow first, components x y z; some files hold them transposed
    if found.shape not in ((2, 3), (3, 2)) or not found.is_numeric:
        raise SourceError(f"{found.where} has shape {found.shape}; CXI's basis vectors are (2, 3)")
    vectors = found.whole() if found.shape == (2, 3) else found.whole().T
    return (-1 if vectors[0, 1] < 0 else 1), (-1 if vectors[1, 0] < 0 else 1)


def _light_of(finder: ChannelFinder, tree: Hdf5Tree) -> tuple[Light, ...]:
    """Places of the photon energy: what belongs to the beam first, as `source_1` may be the storage ring."""
    if _text_at(tree, f"{cxi.CXI_ENTRY}/definition") != PTYCHO_DEFINITION:
        return (*BEAM, *SOURCE, *MONOCHROMATOR)
    ring = tree.first(*(place.path for place in SOURCE))
    if ring is not None:  # see NXcxi_ptycho in the NeXus manual
        finder.problems["energy_eV"] = f"{ring.where} in a file of {PTYCHO_DEFINITION} is the storage ring's energy"
    return (*BEAM, *MONOCHROMATOR)


def _add_translation(finder: ChannelFinder, tree: Hdf5Tree, paths: Hdf5Paths, moves: Translation | None) -> None:
    """x and y of each frame; a note about their sign where neither the file nor the operator says it."""
    if finder.has("x") and finder.has("y"):
        return
    found = tree.first(*TRANSLATIONS)
    if found is None:
        raise SourceError(
            f"{tree.path} has no positions: {TRANSLATIONS[0]} (N, 3); give their paths if they are elsewhere"
        )
    sign = 1 if moves is Translation.PROBE else -1
    for component, name in enumerate("xy"):
        if not finder.has(name):
            finder.add_position(name, name, found, component, sign * finder.position_scale(found, paths))
    if moves is None and _text_at(tree, cxi.CXI_PROGRAM) != "ptychostream":  # ours are as the specification has it
        finder.note(
            f"{found.path} is taken as the motion of the sample, as CXI has it, so the beam on the sample is minus it; "
            "if it is where the probe is, the image comes out rotated by 180 degrees: give --translation probe"
        )


def _add_positioners(finder: ChannelFinder, tree: Hdf5Tree, paths: Hdf5Paths) -> bool:
    """x and y of a stage; True if both are there."""
    axes = {name: found for name in "xy" if (found := tree.find(f"{POSITIONERS}/{name}")) is not None}
    if len(axes) < 2:
        return False
    for name, stored in axes.items():
        finder.add_position(name, stored.path, stored, None, finder.position_scale(stored, paths))
    return True


def _text_at(tree: Hdf5Tree, path: str) -> str:
    """The one text at a path; empty if there is none."""
    found = tree.find(path)
    return text_of(found.whole()) if found is not None and found.shape == () and found.dtype.kind in "SO" else ""


def _is_bad(mask: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if mask.dtype.kind in "iu":
        return (mask & ~np.array(HAS_SIGNAL).astype(mask.dtype)) != 0
    return mask != 0

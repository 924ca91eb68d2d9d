"""The corrections of a run from its settings and references, and what the operator should know of the latter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.cancellation import Cancellation
from stream_service.errors import ConfigError
from stream_service.hdf5.targets import AlsoBelow
from stream_service.kernels import CorrectionError, Corrections, FlatKind, recognise_flat
from stream_service.settings.preprocessing import Preprocessing
from stream_service.settings.profile import Profile
from stream_service.sources.tables.references import Reference, read_references

_Image = npt.NDArray[Any]
References = Mapping[str, _Image]
"""`dark`, `flat`, `mask`, each (y, x) in raw detector axes, as far as they are there."""
LARGE_SHARE = 0.5
"""Of bad pixels in a mask: detectors are better than that, an inverted mask is not."""
NOTED_SHARE = 0.01
"""Of pixels that the flat masks: single dead ones are usual."""
REFERENCE_ROOTS = "service.reference_roots of the profile"


def load_references(profile: Profile, cancellation: Cancellation | None = None) -> dict[str, Reference]:
    """The references that a profile names, by kind.

    Raises `ConfigError` naming the file that is wrong, and `CancelledError`.
    """
    also = AlsoBelow(profile.service.reference_roots, REFERENCE_ROOTS)
    named = {kind: name for kind, name in profile.references.model_dump().items() if name}
    return read_references(named, also, cancellation)


def images_of(references: Mapping[str, Reference]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays alone."""
    return {kind: reference.image for kind, reference in references.items()}


def digests_of(references: References) -> dict[str, str]:
    """What each of them is, so that another one is told from it."""
    digests = {}
    for kind, image in references.items():
        digest = hashlib.blake2b(f"{image.dtype.str} {image.shape}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(image).data)
        digests[kind] = digest.hexdigest()
    return digests


def corrections_from(preprocessing: Preprocessing, references: References) -> Corrections:
    """Corrections from arrays in raw detector axes; raises `ConfigError` when they contradict each other."""
    arrays: dict[str, Any] = dict(references)
    if "mask" in references:
        arrays["mask"] = references["mask"] != 0
    try:
        return Corrections(
            **arrays,
            flat_is=flat_kind(preprocessing, references),
            saturation_level=preprocessing.sat,
            gain=preprocessing.gain,
            negatives=preprocessing.negatives,
            bad_pixels=preprocessing.bad_pixels,
        )
    except CorrectionError as error:
        raise ConfigError(str(error)) from error


def flat_kind(preprocessing: Preprocessing, references: References) -> FlatKind:
    """Kind of the flat by the settings, else as recognised. Raises `ConfigError` if it may be either.

    Without a dark there is nothing to tell: both kinds are applied alike.
    """
    if preprocessing.flat_is != "auto":
        return preprocessing.flat_is
    flat, dark, mask = (references.get(kind) for kind in ("flat", "dark", "mask"))
    if flat is None or dark is None or flat.shape != dark.shape or (mask is not None and mask.shape != flat.shape):
        return "raw"
    kind = recognise_flat(flat, dark, mask)
    if kind is None:
        raise ConfigError(
            f"the flat ({_median(flat)}) may be as measured, or normalised without its dark ({_median(dark)}): say "
            "which by flat_is, raw or normalised (--flat-is)"
        )
    return kind


def reference_notes(
    preprocessing: Preprocessing, references: References, corrections: Corrections, *, is_own_mask: bool = False
) -> Iterator[str]:
    """Notes on references, recognised or doubtful; `is_own_mask` is that of the recording, which may be empty."""
    flat, dark, mask = (references.get(kind) for kind in ("flat", "dark", "mask"))
    if flat is not None and dark is not None and preprocessing.flat_is == "auto":
        if corrections.flat_is == "raw":
            yield (
                "the flat is taken as measured: the dark is subtracted from it ('flat_is' says otherwise: "
                "--flat-is normalised)"
            )
            yield from _below_dark_note(flat, dark, mask)
        else:
            yield (
                f"the flat ({_median(flat)}, the dark's is {_median(dark).removeprefix('median ')}) is taken as "
                "normalised: no dark is subtracted from it ('flat_is' says otherwise: --flat-is raw)"
            )
    if mask is None:
        return
    n_bad = int(np.count_nonzero(mask))
    if n_bad == 0 and not is_own_mask:
        yield "the mask calls no pixel bad (0 = good, anything else bad)"
    elif n_bad > LARGE_SHARE * mask.size:
        yield (
            f"the mask calls {100 * n_bad / mask.size:.3g} % of the pixels bad ({n_bad} of {mask.size}; 0 = good, "
            "anything else bad): is it inverted?"
        )


def _below_dark_note(flat: _Image, dark: _Image, mask: _Image | None) -> Iterator[str]:
    """Pixels that the flat masks, where they are many."""
    is_good = np.ones(flat.shape, bool) if mask is None else mask == 0
    n_below = int(np.count_nonzero(is_good & (flat.astype(np.float64) <= dark)))
    if n_below > NOTED_SHARE * flat.size:
        yield (
            f"the flat is not above the dark in {100 * n_below / flat.size:.3g} % of the pixels ({n_below} of "
            f"{flat.size}), which are masked: did it light them?"
        )


def _median(image: _Image) -> str:
    return f"median {float(np.nanmedian(image)):.4g}"

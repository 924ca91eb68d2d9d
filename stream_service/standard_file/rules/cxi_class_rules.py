"""Rules of the CXI 1.6 specification for each class (appendix A), and for scans and their axes (section 9)."""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from stream_service.standard_file.rules.finding import Finding, error, warning
from stream_service.standard_file.schema.contents import as_text, dataset_at, is_numeric, number_in, text_in, units_of

IMPLICIT_AXES = frozenset({"y", "x", "coordinate", "dimension", "dot_product", "unit_cell"})
"""Axes that need no dataset of their own: pixels and vector components."""
IMAGE_TYPES = ("intensity", "electron density", "amplitude", "unphased amplitude", "autocorrelation")
IMAGE_SPACES = ("real", "diffraction")
MAX_PHOTON_ENERGY_J = 1e-10
"""0.6 GeV: a larger number without units is in electronvolts."""


def data_findings(group: h5py.Group) -> Iterator[Finding]:
    """Data class: `data` must exist; `errors` has its shape."""
    data = dataset_at(group, "data")
    if data is None:
        yield error(f"{group.name}/data", "is missing; every CXI data group holds or links to one dataset 'data'.")
        return
    yield from _array_findings(group, data)
    yield from _same_shape_findings(group, "errors", data)


def detector_findings(group: h5py.Group) -> Iterator[Finding]:
    """Detector class: geometry, mask, and one score or tag per image."""
    data = dataset_at(group, "data")
    if data is None:
        yield error(f"{group.name}/data", "is missing; a CXI detector holds what it recorded in 'data'.")
        return
    yield from _array_findings(group, data)
    yield from _same_shape_findings(group, "data_error", data)
    yield from _geometry_of_pixels_findings(group)
    yield from _mask_findings(group, data)
    for name in ("x_pixel_size", "y_pixel_size"):
        yield from _length_findings(group, name, "m")
    yield from _length_findings(group, "distance", "m")
    for name in ("score", "tags"):
        dataset = dataset_at(group, name)
        if dataset is not None and data.ndim > 2 and dataset.shape[-1:] != data.shape[:1]:
            yield error(
                f"{group.name}/{name}",
                f"has shape {dataset.shape}; its last axis must be the {data.shape[0]} images of 'data'.",
            )


def image_findings(group: h5py.Group) -> Iterator[Finding]:
    """Image class: `data`, what it is (`data_type`) and where it lives (`data_space`)."""
    data = dataset_at(group, "data")
    if data is None:
        yield error(f"{group.name}/data", "is missing; a CXI image needs one.")
    else:
        yield from _number_findings(data)
        yield from _same_shape_findings(group, "data_error", data)
    if "data_type" not in group:
        yield error(f"{group.name}/data_type", f"is missing; write one of: {', '.join(IMAGE_TYPES)}.")
    for name, allowed in (("data_type", IMAGE_TYPES), ("data_space", IMAGE_SPACES)):
        if name in group and text_in(dataset_at(group, name)) not in allowed:
            found = text_in(dataset_at(group, name))
            yield error(f"{group.name}/{name}", f"is {found!r}; CXI allows only: {', '.join(allowed)}.")
    shifted = number_in(dataset_at(group, "is_fft_shifted"))
    if shifted is not None and shifted not in (0, 1):
        yield error(f"{group.name}/is_fft_shifted", f"is {shifted:g}; it must be 0 or 1.")


def sample_findings(group: h5py.Group) -> Iterator[Finding]:
    """Sample class."""
    yield from _last_axis_findings(group, "unit_cell", 6, "a, b, c and three angles")


def geometry_findings(group: h5py.Group) -> Iterator[Finding]:
    """Geometry class: translations have three components, orientations six."""
    yield from _last_axis_findings(group, "translation", 3, "x, y and z in metres")
    yield from _last_axis_findings(group, "orientation", 6, "direction cosines")
    translation = dataset_at(group, "translation")
    if translation is not None and units_of(translation) not in (None, "m"):
        yield warning(
            str(translation.name), f"is in {units_of(translation)!r}; CXI is in metres, and programs do not look."
        )


def source_findings(group: h5py.Group) -> Iterator[Finding]:
    """Source class: the photon energy is in joules."""
    yield from _energy_findings(group, "energy")


def beam_findings(group: h5py.Group) -> Iterator[Finding]:
    """Beam class: the incident energy, in joules unless it says otherwise."""
    yield from _energy_findings(group, "incident_energy")


def _energy_findings(group: h5py.Group, name: str) -> Iterator[Finding]:
    dataset = dataset_at(group, name)
    if dataset is None:
        return
    value, units = number_in(dataset), units_of(dataset)
    if units not in (None, "J"):
        yield warning(str(dataset.name), f"is in {units!r}; CXI energies are in joules, and programs do not look.")
    elif value is not None and value > MAX_PHOTON_ENERGY_J:
        yield error(str(dataset.name), f"is {value:g} J, which no photon has; it looks like eV: multiply by 1.602e-19.")
    if value is not None and not value > 0:
        yield error(str(dataset.name), f"is {value:g}; a photon energy is positive.")


def _number_findings(data: h5py.Dataset) -> Iterator[Finding]:
    """Data are numbers, complex ones with the members r and i."""
    where = str(data.name)
    if data.dtype.names is not None and data.dtype.names != ("r", "i"):
        yield error(where, f"is a compound of {data.dtype.names}; CXI complex numbers have the members r and i.")
    elif data.dtype.names is None and not is_numeric(data):
        yield error(where, f"holds {data.dtype}, not numbers.")


def _array_findings(group: h5py.Group, data: h5py.Dataset) -> Iterator[Finding]:
    """Data are numbers, and axes beyond y and x are named by `@axes`."""
    yield from _number_findings(data)
    where = str(data.name)
    axes = as_text(data.attrs.get("axes"))
    if "axes" not in data.attrs:
        if data.ndim > 2:
            yield warning(where, f"has {data.ndim} dimensions and no 'axes'; write, for a scan, 'translation:y:x'.")
        return
    if axes is None:
        yield error(where, f"has 'axes' = {data.attrs['axes']!r}; it must be one text with colons: 'translation:y:x'.")
        return
    names = axes.split(":")
    if len(names) != data.ndim:
        yield error(where, f"has 'axes' = {axes!r}, {len(names)} names for {data.ndim} dimensions; name each once.")
        return
    for name, length in zip(names, data.shape, strict=True):
        if name in IMPLICIT_AXES:
            continue
        axis = dataset_at(group, name)
        if axis is None:
            yield error(where, f"has 'axes' = {axes!r}, but no dataset '{name}' beside it; link it there.")
        elif axis.shape[:1] != (length,):
            yield error(where, f"has {length} entries along '{name}', but '{axis.name}' has shape {axis.shape}.")


def _geometry_of_pixels_findings(group: h5py.Group) -> Iterator[Finding]:
    is_modular = "module_identifier" in group
    yield from _last_axis_findings(group, "corner_position", 3, "x, y and z in metres")
    if "corner_position" not in group and "geometry_1" not in group:
        yield warning(
            f"{group.name}/corner_position", "is missing; CXI asks for it always: programs assume the centre."
        )
    basis = dataset_at(group, "basis_vectors")
    if basis is not None and not is_modular and basis.shape != (2, 3):
        hint = "it is transposed" if basis.shape == (3, 2) else "see the specification, section 8.2"
        yield error(str(basis.name), f"has shape {basis.shape}; one row of (x, y, z) for each of two axes: {hint}.")


def _mask_findings(group: h5py.Group, data: h5py.Dataset) -> Iterator[Finding]:
    mask = dataset_at(group, "mask")
    if mask is None:
        return
    if mask.dtype.kind not in "iu":
        yield error(str(mask.name), f"holds {mask.dtype}; a CXI mask holds integers, 0 for a good pixel.")
    if mask.shape[-2:] != data.shape[-2:]:
        yield error(str(mask.name), f"has shape {mask.shape}, the frames {data.shape[-2:]}; they must agree.")


def _length_findings(group: h5py.Group, name: str, unit: str) -> Iterator[Finding]:
    dataset = dataset_at(group, name)
    if dataset is None:
        return
    value = number_in(dataset)
    if value is not None and not value > 0:
        yield error(str(dataset.name), f"is {value:g}; it must be positive, in metres.")
    if units_of(dataset) not in (None, unit):
        yield warning(str(dataset.name), f"is in {units_of(dataset)!r}; CXI is in metres, and programs do not look.")


def _last_axis_findings(group: h5py.Group, name: str, length: int, meaning: str) -> Iterator[Finding]:
    dataset = dataset_at(group, name)
    if dataset is not None and dataset.shape[-1:] != (length,):
        yield error(str(dataset.name), f"has shape {dataset.shape}; its last axis must be {length}: {meaning}.")


def _same_shape_findings(group: h5py.Group, name: str, data: h5py.Dataset) -> Iterator[Finding]:
    dataset = dataset_at(group, name)
    if dataset is not None and dataset.shape != data.shape:
        yield error(str(dataset.name), f"has shape {dataset.shape}, 'data' {data.shape}; they must be equal.")

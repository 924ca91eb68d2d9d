"""The `/entry_1` half of the file: CXI 1.6, over the same bytes as `/entry`.

Axes are those of `/entry/pos`: x and y as the beam moves on the sample, z along the beam. A stored frame's rows grow
with +y and its columns with +x unless the header says otherwise, so `basis_vectors` are positive (the CXI default, both
negative, would give a reader that follows them the twin image).

Energies at CXI paths are in joules, as the specification has it; electronvolts
stand at `instrument_1/beam_1/incident_beam_energy` and `/entry/energy_eV`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import numpy as np

from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import PIXEL_FLAGS, codes_as_text
from stream_service.standard_file.schema.header import FileHeader
from stream_service.standard_file.schema.spec import (
    Attribute,
    DatasetSpec,
    number_dataset,
    plot_of,
    text_dataset,
    whole_dataset,
)
from stream_service.text.units import JOULES_PER_EV

CXI_VERSION = 160
TIME_LENGTH = 40


def cxi_groups(header: FileHeader) -> dict[str, Mapping[str, Attribute]]:
    """The h5 groups of the CXI entry, parents first."""
    return {
        paths.CXI_ENTRY: {"NX_class": "NXentry", "default": "data_1"},
        paths.INSTRUMENT: {"NX_class": "NXinstrument"},
        f"{paths.INSTRUMENT}/source_1": {"NX_class": "NXsource"},
        f"{paths.INSTRUMENT}/beam_1": {"NX_class": "NXbeam"},
        paths.DETECTOR: {"NX_class": "NXdetector"},
        f"{paths.DETECTOR}/detectorSpecific": {"NX_class": "NXcollection"},
        paths.SAMPLE: {"NX_class": "NXsample", "name": header.sample},
        paths.GEOMETRY: {"NX_class": "NXgeometry"},
        paths.PLOT_1: plot_of("data", 3),
    }


def cxi_soft_links() -> dict[str, str]:
    """`data_1` shows what the CXI specification calls the most important data."""
    return {f"{paths.PLOT_1}/data": paths.CXI_DATA, f"{paths.PLOT_1}/translation": paths.TRANSLATION}


def cxi_head(scan_id: str, energy_eV: float) -> tuple[DatasetSpec, ...]:
    """First datasets of every CXI file of a scan."""
    return (
        whole_dataset("/cxi_version", "CXI 1.6.", CXI_VERSION),
        whole_dataset("/number_of_entries", "CXI entries in this file.", 1),
        text_dataset(paths.CXI_TITLE, "Name of the scan.", scan_id),
        text_dataset(paths.CXI_PROGRAM, "What wrote this file.", "ptychostream"),
        number_dataset(paths.SOURCE_ENERGY, "Photon energy.", energy_eV * JOULES_PER_EV, "J"),
    )


def cxi_datasets(header: FileHeader) -> tuple[DatasetSpec, ...]:
    """The datasets of the CXI entry that are not columns of the rows."""
    i4 = np.dtype(np.int32)
    return (
        *cxi_head(header.scan_id, header.energy_eV),
        text_dataset(
            paths.START_TIME,
            "Start of the run, ISO 8601; empty if nobody knows.",
            iso_time(header.start_timestamp_ns) if header.start_timestamp_ns else "",
            TIME_LENGTH,
        ),
        text_dataset(paths.END_TIME, "End of the run, ISO 8601; empty until then.", "", TIME_LENGTH),
        text_dataset(f"{paths.SAMPLE}/name", "Name of the sample.", header.sample),
        number_dataset(paths.BEAM_ENERGY, "Photon energy.", header.energy_eV, "eV"),
        *_geometry(header),
        *_masks(header),
        DatasetSpec(
            f"{paths.DETECTOR}/detectorSpecific/countrate_correction_applied", "0 = no, 1 = yes.", i4, value=np.int32(0)
        ),
        DatasetSpec(
            f"{paths.DETECTOR}/detectorSpecific/flatfield_applied",
            "0 = no, 1 = yes.",
            i4,
            value=np.int32(header.flat is not None),
        ),
    )


def iso_time(timestamp_ns: int) -> str:
    """A timestamp as ISO 8601 in UTC, to the microsecond."""
    seconds, nanoseconds = divmod(timestamp_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)
    return moment.isoformat(timespec="microseconds")


def _geometry(header: FileHeader) -> Iterator[DatasetSpec]:
    f8 = np.dtype(np.float64)
    center_y, center_x = header.center_px
    pixel = header.pixel_m
    step_y, step_x = (sign * pixel for sign in header.axis_signs)
    corner = np.array([-(center_x + 0.5) * step_x, -(center_y + 0.5) * step_y, header.det_dist_m])
    basis = np.array([[0.0, step_y, 0.0], [step_x, 0.0, 0.0]])
    yield number_dataset(
        f"{paths.DETECTOR}/distance", "From the sample to the detector.", header.det_dist_m, "m", paths.DET_DIST
    )
    yield number_dataset(
        f"{paths.DETECTOR}/x_pixel_size",
        "Pitch of the stored pixels, which are square.",
        pixel,
        "m",
        f"{paths.DETECTOR}/y_pixel_size",
        paths.PIXEL,
    )
    yield DatasetSpec(
        f"{paths.DETECTOR}/corner_position", "Outer corner of the first pixel, x y z.", f8, value=corner, units="m"
    )
    yield DatasetSpec(
        f"{paths.DETECTOR}/basis_vectors",
        "From a pixel to the next along the rows' axis, then along the columns' axis; x y z each.",
        f8,
        value=basis,
        units="m",
    )
    yield number_dataset(f"{paths.DETECTOR}/beam_center_y", "Row of the optical axis.", center_y, "pixel")
    yield number_dataset(f"{paths.DETECTOR}/beam_center_x", "Column of the optical axis.", center_x, "pixel")
    if header.saturation_value is not None:
        yield number_dataset(
            f"{paths.DETECTOR}/saturation_value", "Raw value that counts as saturated.", header.saturation_value, ""
        )


def _masks(header: FileHeader) -> Iterator[DatasetSpec]:
    mask = header.mask if header.mask is not None else np.zeros(header.frame_shape, np.uint8)
    flags = header.pixel_mask if header.pixel_mask is not None else mask.astype(np.uint32)
    yield DatasetSpec(
        paths.CXI_MASK, "0 = good pixel, 1 = bad pixel.", np.dtype(np.uint8), value=mask, links=(paths.MASK,)
    )
    yield DatasetSpec(
        paths.PIXEL_MASK,
        "Why a pixel is bad, as the bits of the CXI specification.",
        np.dtype(np.uint32),
        value=flags,
        attributes={"codes": codes_as_text(PIXEL_FLAGS)},
    )

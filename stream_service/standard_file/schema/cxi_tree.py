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

from stream_service.standard_file.schema.codes import PIXEL_FLAGS, codes_as_text
from stream_service.standard_file.schema.header import FileHeader
from stream_service.standard_file.schema.row_columns import DATA, TRANSLATION
from stream_service.standard_file.schema.spec import Attribute, DatasetSpec, number_dataset, plot_of, text_dataset
from stream_service.text.units import JOULES_PER_EV

CXI_VERSION = 160
INSTRUMENT = "/entry_1/instrument_1"
DETECTOR = f"{INSTRUMENT}/detector_1"
SOURCE_ENERGY = f"{INSTRUMENT}/source_1/energy"
BEAM_ENERGY = f"{INSTRUMENT}/beam_1/incident_beam_energy"
MASK = f"{DETECTOR}/mask"
PIXEL_MASK = f"{DETECTOR}/detectorSpecific/pixel_mask"
END_TIME = "/entry_1/end_time"
TIME_LENGTH = 40


def cxi_groups(header: FileHeader) -> dict[str, Mapping[str, Attribute]]:
    """The h5 groups of the CXI entry, parents first."""
    return {
        "/entry_1": {"NX_class": "NXentry", "default": "data_1"},
        INSTRUMENT: {"NX_class": "NXinstrument"},
        f"{INSTRUMENT}/source_1": {"NX_class": "NXsource"},
        f"{INSTRUMENT}/beam_1": {"NX_class": "NXbeam"},
        DETECTOR: {"NX_class": "NXdetector"},
        f"{DETECTOR}/detectorSpecific": {"NX_class": "NXcollection"},
        "/entry_1/sample_1": {"NX_class": "NXsample", "name": header.sample},
        "/entry_1/sample_1/geometry_1": {"NX_class": "NXgeometry"},
        "/entry_1/data_1": plot_of("data", 3),
    }


def cxi_soft_links() -> dict[str, str]:
    """`data_1` shows what the CXI specification calls the most important data."""
    return {"/entry_1/data_1/data": DATA, "/entry_1/data_1/translation": TRANSLATION}


def cxi_datasets(header: FileHeader) -> tuple[DatasetSpec, ...]:
    """The datasets of the CXI entry that are not columns of the rows."""
    i4, i8 = np.dtype(np.int32), np.dtype(np.int64)
    return (
        DatasetSpec("/cxi_version", "CXI 1.6.", i8, value=np.int64(CXI_VERSION)),
        DatasetSpec("/number_of_entries", "CXI entries in this file.", i8, value=np.int64(1)),
        text_dataset("/entry_1/title", "Name of the scan.", header.scan_id),
        text_dataset("/entry_1/program_name", "What wrote this file.", "ptychostream"),
        text_dataset(
            "/entry_1/start_time", "Start of the run, ISO 8601.", iso_time(header.start_timestamp_ns), TIME_LENGTH
        ),
        text_dataset(END_TIME, "End of the run, ISO 8601; empty until then.", "", TIME_LENGTH),
        text_dataset("/entry_1/sample_1/name", "Name of the sample.", header.sample),
        number_dataset(SOURCE_ENERGY, "Photon energy.", header.energy_eV * JOULES_PER_EV, "J"),
        number_dataset(BEAM_ENERGY, "Photon energy.", header.energy_eV, "eV"),
        *_geometry(header),
        *_masks(header),
        DatasetSpec(
            f"{DETECTOR}/detectorSpecific/countrate_correction_applied", "0 = no, 1 = yes.", i4, value=np.int32(0)
        ),
        DatasetSpec(
            f"{DETECTOR}/detectorSpecific/flatfield_applied",
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
        f"{DETECTOR}/distance", "From the sample to the detector.", header.det_dist_m, "m", "/entry/det_dist_m"
    )
    yield number_dataset(
        f"{DETECTOR}/x_pixel_size",
        "Pitch of the stored pixels, which are square.",
        pixel,
        "m",
        f"{DETECTOR}/y_pixel_size",
        "/entry/pixel_m",
    )
    yield DatasetSpec(
        f"{DETECTOR}/corner_position", "Outer corner of the first pixel, x y z.", f8, value=corner, units="m"
    )
    yield DatasetSpec(
        f"{DETECTOR}/basis_vectors",
        "From a pixel to the next along the rows' axis, then along the columns' axis; x y z each.",
        f8,
        value=basis,
        units="m",
    )
    yield number_dataset(f"{DETECTOR}/beam_center_y", "Row of the optical axis.", center_y, "pixel")
    yield number_dataset(f"{DETECTOR}/beam_center_x", "Column of the optical axis.", center_x, "pixel")
    if header.saturation_value is not None:
        yield number_dataset(
            f"{DETECTOR}/saturation_value", "Raw value that counts as saturated.", header.saturation_value, ""
        )


def _masks(header: FileHeader) -> Iterator[DatasetSpec]:
    mask = header.mask if header.mask is not None else np.zeros(header.frame_shape, np.uint8)
    flags = header.pixel_mask if header.pixel_mask is not None else mask.astype(np.uint32)
    yield DatasetSpec(MASK, "0 = good pixel, 1 = bad pixel.", np.dtype(np.uint8), value=mask, links=("/entry/mask",))
    yield DatasetSpec(
        PIXEL_MASK,
        "Why a pixel is bad, as the bits of the CXI specification.",
        np.dtype(np.uint32),
        value=flags,
        attributes={"codes": codes_as_text(PIXEL_FLAGS)},
    )

"""The `/entry` half of the file that does not grow by rows: what PtyPy and live readers use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from stream_service.hdf5.bounded_file import FORMAT_NAME
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import RUN_STATES
from stream_service.standard_file.schema.header import FileHeader
from stream_service.standard_file.schema.ledger_columns import ledger_specs
from stream_service.standard_file.schema.spec import (
    Attribute,
    DatasetSpec,
    plot_of,
    scalar,
    text_dataset,
    whole_dataset,
)
from stream_service.standard_file.schema.verdict_columns import verdict_specs

FORMAT_VERSION = 1


STATE_LENGTH = 16
END_REASON_LENGTH = 512
MESSAGE_LENGTH = 2048
"""The account of a run names up to 20 ranges of ids, and an error names a path (4096 bytes at most, mostly 100)."""
OPEN_KEY_CAPACITY = 1 << 20
"""Live keys reserved when the length of the scan is not known: 3 x 4 MiB, 17 minutes at 1 kHz."""


def entry_groups(header: FileHeader) -> dict[str, Mapping[str, Attribute]]:
    """The h5 groups below `/entry`, parents first."""
    groups: dict[str, Mapping[str, Attribute]] = {
        paths.ENTRY: {
            "NX_class": "NXentry",
            "default": paths.PLOT.rpartition("/")[2],
            "format": FORMAT_NAME,
            "format_version": FORMAT_VERSION,
        },
        paths.PLOT: plot_of("data", 3),
    }
    for name in ("live", "frames", "readbacks", "qc", "qc/features", "ledger", "run", "process"):
        groups[f"{paths.ENTRY}/{name}"] = {"NX_class": "NXcollection"}
    if header.planned_m is not None and len(header.planned_m):
        groups[paths.PLANNED] = {"NX_class": "NXcollection"}
    if header.optics:
        groups[paths.OPTICS] = {"NX_class": "NXcollection"}
    for channel in header.channels:
        groups[f"{paths.READBACKS}/{channel.name}"] = {"NX_class": "NXlog"}
    return groups


def entry_soft_links() -> dict[str, str]:
    """Path to target."""
    return {f"{paths.PLOT}/data": paths.DATA}


def entry_datasets(header: FileHeader) -> tuple[DatasetSpec, ...]:
    """The datasets below `/entry` that are not columns of the rows and not links to `/entry_1`."""
    f8 = np.dtype(np.float64)
    return (
        DatasetSpec(
            paths.ENERGY,
            "Photon energy; one number, as PtyPy wants it.",
            f8,
            value=scalar(header.energy_eV),
            units="eV",
        ),
        DatasetSpec(paths.EXPOSURE, "Exposure time of a row.", f8, value=scalar(header.exposure_s), units="s"),
        *_references(header),
        *_live_keys(header),
        *_planned(header),
        *_readbacks(header),
        *verdict_specs(),
        *ledger_specs(),
        *_run(header),
        *_process(header),
    )


def _references(header: FileHeader) -> Iterator[DatasetSpec]:
    for name, image in (("dark", header.dark), ("flat", header.flat)):
        if image is not None:
            yield DatasetSpec(
                f"{paths.ENTRY}/{name}",
                f"The {name} as it was applied to the frames; do not apply it again.",
                np.dtype(np.float32),
                value=image,
                attributes={"applied": True},
            )


def _live_keys(header: FileHeader) -> Iterator[DatasetSpec]:
    capacity = OPEN_KEY_CAPACITY if header.n_rows_expected is None else max(header.n_rows_expected, 1)
    for path in paths.LIVE_KEYS:
        yield DatasetSpec(
            path,
            "Row + 1 once the row is readable, 0 before; written after the row's data.",
            np.dtype(np.uint32),
            value=np.zeros(capacity, np.uint32),
        )
    yield whole_dataset(paths.N_ROWS, "Rows that are readable, those for which there is no key left included.", 0)


def _planned(header: FileHeader) -> Iterator[DatasetSpec]:
    if header.planned_m is None or not len(header.planned_m):
        return
    for axis, path in enumerate((paths.PLANNED_X, paths.PLANNED_Y)):
        yield DatasetSpec(
            path,
            "Where the beam was to be on the sample, in the order of the scan.",
            np.dtype(np.float64),
            value=np.ascontiguousarray(header.planned_m[:, axis]),
            units="m",
        )


def _readbacks(header: FileHeader) -> Iterator[DatasetSpec]:
    for channel in header.channels:
        group = f"{paths.READBACKS}/{channel.name}"
        yield DatasetSpec(
            f"{group}/value", "Every update of the channel, as it came.", np.dtype(np.float64), units=channel.unit
        )
        yield DatasetSpec(
            f"{group}/timestamp_ns", "When the value was true, since 1970 UTC.", np.dtype(np.int64), units="ns"
        )
        yield DatasetSpec(
            paths.clock_offset(channel.name),
            "How far the clock of these stamps was ahead of that of the frames, as receipts tell; NaN: not known.",
            np.dtype(np.float64),
            value=np.float64(np.nan),
            units="s",
        )


def _run(header: FileHeader) -> tuple[DatasetSpec, ...]:
    i8 = np.dtype(np.int64)
    return (
        text_dataset(paths.SCAN_ID, "Name of the scan.", header.scan_id),
        text_dataset(paths.STATE, "State of the run: " + " ".join(RUN_STATES) + ".", "ARMED", STATE_LENGTH),
        text_dataset(paths.END_REASON, "Why the run ended; empty until then.", "", END_REASON_LENGTH),
        text_dataset(
            paths.MESSAGE, "What became of the run, in a sentence; empty until it has ended.", "", MESSAGE_LENGTH
        ),
        DatasetSpec(
            paths.START_TIMESTAMP,
            "Start of the run, since 1970 UTC; 0 if nobody knows.",
            i8,
            value=np.int64(header.start_timestamp_ns),
            units="ns",
        ),
        DatasetSpec(
            paths.END_TIMESTAMP, "End of the run, since 1970 UTC; 0 until then.", i8, value=np.int64(0), units="ns"
        ),
        DatasetSpec(paths.HEARTBEAT, "Flushes so far; a writer that lives counts on.", i8, value=np.int64(0)),
    )


def _process(header: FileHeader) -> Iterator[DatasetSpec]:
    settings = json.dumps(dict(header.settings), allow_nan=False)
    versions = json.dumps(dict(header.versions))
    yield text_dataset(paths.SETTINGS, "Everything needed to redo the processing, as JSON.", settings)
    yield text_dataset(paths.VERSIONS, "Versions of the programs involved, as JSON.", versions)
    for name, value in header.optics.items():
        if value is None:
            continue
        path = f"{paths.OPTICS}/{name}"
        about = "Optics in front of the sample, from the profile."
        if isinstance(value, str):
            yield text_dataset(path, about, value)
        else:
            array: Any = np.asarray(value, np.float64)
            yield DatasetSpec(path, about, np.dtype(np.float64), value=array, units=_unit_in(name))


def _unit_in(name: str) -> str:
    """`defocus_m` is in metres: the unit is the last word of the name, where there is one."""
    last_word = name.rpartition("_")[2]
    return last_word if last_word in ("m", "eV", "s", "deg", "rad") else ""

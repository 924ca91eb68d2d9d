"""Facts of a run, in pairs of a name and a value, by heading: scan, times, beam and detector, account, rates, place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stream_service.run_report.flag_words import counted_flags
from stream_service.run_report.headline import lacking_positions
from stream_service.run_report.position_pictures import off_plan_m
from stream_service.run_report.row_pictures import SAME_ENERGY
from stream_service.run_report.stored_run import StoredRun
from stream_service.standard_file.schema.codes import LEDGER_COUNTS
from stream_service.text.counted import counted
from stream_service.text.duration import duration
from stream_service.text.local_time import local_time

COUNT_WORDS = {
    "expected": "expected",
    "stored": "came live, in the file",
    "backfilled": "fetched from the raw file",
    "lost": "exposed, not in the file",
    "incomplete": "came, but their group never filled",
    "not_exposed": "planned, never exposed",
    "duplicates": "came again, ignored",
    "unexpected": "beyond those expected, ignored",
}
ALWAYS_TOLD = ("expected", "stored", "lost")
"""Also where they are 0."""
NM = 1e9


@dataclass(frozen=True, slots=True)
class Fact:
    """A value by its name; what is not known is left out."""

    name: str
    value: str
    more: str = ""


def scan_facts(run: StoredRun) -> Iterator[Fact]:
    """Which scan it was, and when."""
    yield Fact("scan", run.scan_id or "not named")
    for name, text in (("sample", run.sample), ("beamline", run.beamline)):
        if text:
            yield Fact(name, text)
    metadata = run.asked("metadata")
    if isinstance(metadata, dict):
        for name, value in list(metadata.items())[:20]:
            yield Fact(str(name).replace("_", " "), str(value))
    for name, time_ns in (("begin", run.start_ns), ("end", run.end_ns)):
        if said := local_time(time_ns):
            yield Fact(name, said)
    if math.isfinite(run.duration_s):
        yield Fact("duration", duration(run.duration_s))


def beam_facts(run: StoredRun) -> Iterator[Fact]:
    """Beam, detector and how a row came to be."""
    energies_eV = run.rows["energy_eV"][np.isfinite(run.rows["energy_eV"])]
    if math.isfinite(run.energy_eV):
        lowest, highest = (energies_eV.min(), energies_eV.max()) if len(energies_eV) else (0.0, 0.0)
        varies = highest - lowest > SAME_ENERGY * run.energy_eV
        more = f"rows from {lowest:.6g} to {highest:.6g} eV" if varies else ""
        yield Fact("photon energy", f"{run.energy_eV:.6g} eV", more)
    if math.isfinite(run.det_dist_m):
        yield Fact("sample to detector", f"{1e3 * run.det_dist_m:.5g} mm")
    if math.isfinite(run.pixel_m):
        yield Fact("stored pixel", f"{1e6 * run.pixel_m:.5g} µm")
    ny, nx = run.frame_shape
    yield Fact("stored frame", f"{ny} rows x {nx} columns")
    if math.isfinite(run.exposure_s):
        yield Fact("exposure of a row", f"{1e3 * run.exposure_s:.5g} ms")
    most = int(run.rows["n_frames"].max(initial=0))
    if most > 1:
        fewest = int(run.rows["n_frames"].min())
        yield Fact("frames in a row", f"{most}" if fewest == most else f"{fewest} to {most}")


def account_facts(run: StoredRun) -> Iterator[Fact]:
    """The ledger, with ids where frames are not as they should be."""
    for name in LEDGER_COUNTS:
        n = run.ledger.counts.get(name)
        if n or (n is not None and name in ALWAYS_TOLD):
            ids = run.ledger.ids.get(name, "")
            yield Fact(COUNT_WORDS[name], f"{n}", f"ids {ids}" if ids else "")


def rate_facts(run: StoredRun) -> Iterator[Fact]:
    """How fast it was, by the detector's stamps."""
    stamps_ns = run.rows["timestamp_ns"][run.rows["timestamp_ns"] > 0]
    span_s = float(np.ptp(stamps_ns)) / 1e9 if len(stamps_ns) > 1 else 0.0
    if not span_s:
        return
    rows_per_s = (len(stamps_ns) - 1) / span_s
    frames_per_row = float(run.rows["n_frames"].mean()) or 1.0
    ny, nx = run.frame_shape
    yield Fact("first to last frame", duration(span_s))
    yield Fact("frames", f"{rows_per_s * frames_per_row:.4g} per second", "moves included")
    if frames_per_row > 1:
        yield Fact("rows", f"{rows_per_s:.4g} per second")
    yield Fact("stored pixels", f"{4e-6 * ny * nx * rows_per_s:.4g} MB/s")
    exposed_s = float(np.nansum(run.rows["exposure_s"]))
    if 0 < exposed_s <= span_s:
        yield Fact("exposing", f"{100 * exposed_s / span_s:.3g} % of the time")


def position_facts(run: StoredRun) -> Iterator[Fact]:
    """How well positions are known, and how far they are from the plan."""
    n_unknown = int(np.count_nonzero(~run.rows.has_position))
    if n_unknown:
        yield Fact("position not known", counted(n_unknown, "row"))
    off_nm = off_plan_m(run) * NM
    if np.isfinite(off_nm).any():
        farthest = int(np.nanargmax(off_nm))
        yield Fact(
            "from the plan",
            f"{np.nanmedian(off_nm):.3g} nm (median)",
            f"at the most {off_nm[farthest]:.3g} nm, row {farthest}",
        )
    uncertain_nm = run.rows["position_uncertainty_m"] * NM
    if np.isfinite(uncertain_nm).any():
        yield Fact(
            "uncertainty",
            f"{np.nanmedian(uncertain_nm):.3g} nm (median)",
            f"at the most {np.nanmax(uncertain_nm):.3g} nm, by its readbacks alone",
        )
    if lacking := lacking_positions(run):
        yield Fact("planned positions without a usable row", f"{lacking} of {run.n_positions_planned}")
    for words, n in counted_flags(run.rows["flags"]):
        yield Fact(words, counted(n, "row"))

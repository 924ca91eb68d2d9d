"""Is this a good standard file, and a valid CXI file? What `ptychostream validate` says.

A file without `/entry` is judged as CXI only. A file that is still being written, or whose writer was killed, is read
with `swmr=True` and judged by its `/entry` half alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py

from stream_service.writer.cxi_rules import cxi_findings
from stream_service.writer.entry_rules import agreement_findings, entry_findings
from stream_service.writer.finding import Finding, advice, error
from stream_service.writer.identity_rules import identity_findings, is_ours, row_extent

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SWMR_WRITER = 0x04
"""Bit of the superblock's consistency flags (HDF5 file format, superblock version 3): a SWMR writer has it open."""


def validate_file(path: str | os.PathLike[str]) -> list[Finding]:
    """Everything found in the file at `path`; empty = all is well. Reads every frame. Never raises for a bad file."""
    where = str(path)
    if not Path(path).is_file():
        return [error(where, "there is no such file; check the path.")]
    try:
        if not h5py.is_hdf5(path):
            return [error(where, "is not an HDF5 file; give a standard file or a CXI file.")]
        if _has_swmr_writer(path):
            return _growing_file_findings(path)
        return _closed_file_findings(path)
    except OSError as mistake:
        return [error(where, f"cannot be read: {str(mistake).partition(chr(10))[0]}.")]


def _has_swmr_writer(path: str | os.PathLike[str]) -> bool:
    """True if a SWMR writer has the file open, or was killed. Read from the bytes: HDF5 tells only by failing."""
    with Path(path).open("rb") as file:
        head = file.read(12)
    return head[:8] == SIGNATURE and head[8] == 3 and bool(head[11] & SWMR_WRITER)


def _growing_file_findings(path: str | os.PathLike[str]) -> list[Finding]:
    note = "is being written or was not closed; only /entry was checked, up to the last live key."
    with h5py.File(path, "r", swmr=True) as file:
        return [advice(str(path), note), *_own_findings(file, is_growing=True)]


def _closed_file_findings(path: str | os.PathLike[str]) -> list[Finding]:
    with h5py.File(path, "r") as file:
        findings = list(cxi_findings(file))
        if "entry" in file:
            findings += [*_own_findings(file, is_growing=False), *agreement_findings(file)]
        return findings


def _own_findings(file: h5py.File, *, is_growing: bool) -> list[Finding]:
    if not isinstance(file.get("/entry"), h5py.Group):
        return [error("/entry", "is not an h5 group; a standard file keeps everything below it.")]
    extent = row_extent(file, is_growing=is_growing)
    findings = list(entry_findings(file, extent))
    if is_ours(file):
        findings += identity_findings(file, extent)
    return findings

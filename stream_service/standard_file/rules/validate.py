"""Is this a good standard file, and a valid CXI file? What `ptychostream validate` says.

A file without `/entry` is judged as CXI only. A file that is still being written, or whose writer was killed, is read
with `swmr=True` and judged by its `/entry` half alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.failures import HDF5_ERRORS, reason_of
from stream_service.hdf5.opening import open_hdf5
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.standard_file.rules.cxi_rules import cxi_findings
from stream_service.standard_file.rules.elsewhere_rules import elsewhere_findings
from stream_service.standard_file.rules.entry_rules import consistency_findings, entry_findings
from stream_service.standard_file.rules.finding import Finding, error, warning
from stream_service.standard_file.rules.identity_rules import identity_findings, row_extent
from stream_service.standard_file.rules.verdict_rules import row_verdict_findings, verdict_findings
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import dataset_at, text_in


def validate_file(path: str | os.PathLike[str], also: AlsoBelow = NOWHERE_ELSE) -> list[Finding]:
    """Everything found in the file at `path`; empty = all is well. Reads every frame. Never raises for a bad file.

    `also` names folders to which it may lead, beside its own.
    """
    where = str(path)
    if os.path.isdir(path):
        return [error(where, "is a folder; give a file.")]
    if not os.path.isfile(path):  # so, too, for what no name can be
        return [error(where, "there is no such file; check the path.")]
    try:
        if not h5py.is_hdf5(path):
            return [error(where, "is not an HDF5 file; give a standard file or a CXI file.")]
        opened = open_hdf5(Path(path), also)
        with opened.file as file:
            if elsewhere := list(elsewhere_findings(file)):
                return elsewhere
            return _closed_file_findings(file) if opened.is_closed else _growing_file_findings(file, where)
    except (*HDF5_ERRORS, SourceError) as problem:
        said = str(problem).partition("\n")[0] if isinstance(problem, SourceError) else reason_of(problem)
        return [error(where, f"cannot be read: {said}.")]


def _growing_file_findings(file: BoundedFile, where: str) -> list[Finding]:
    note = "is being written or was not closed; only /entry was checked, up to the last live key."
    return [warning(where, note), *_own_findings(file, is_growing=True)]


def _closed_file_findings(file: BoundedFile) -> list[Finding]:
    findings = list(cxi_findings(file))
    if paths.ENTRY in file:
        findings += [*_own_findings(file, is_growing=False), *consistency_findings(file), *verdict_findings(file)]
    return findings


def _own_findings(file: BoundedFile, *, is_growing: bool) -> list[Finding]:
    if not isinstance(file.get(paths.ENTRY), h5py.Group):
        return [error(paths.ENTRY, "is not an h5 group; a standard file keeps everything below it.")]
    extent = row_extent(file, is_growing=is_growing)
    findings = list(entry_findings(file, extent))
    if file.is_standard:
        findings += identity_findings(file, extent)
        findings += row_verdict_findings(file, extent, text_in(dataset_at(file, paths.STATE)))
    return findings

"""Is it a valid CXI file? Our own checks, from the text of the CXI 1.6 specification (cxidb.org).

Here: the top level, the numbering of classes, and what every dataset must keep. What belongs to one class (detector,
image ...) is in `cxi_class_rules`. An error is what the specification forbids; what it leaves open, but programs trip
over, is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import h5py

from stream_service.standard_file.rules.cxi_class_rules import (
    beam_findings,
    data_findings,
    detector_findings,
    geometry_findings,
    image_findings,
    sample_findings,
    source_findings,
)
from stream_service.standard_file.rules.finding import Finding, error, warning
from stream_service.standard_file.schema.contents import dataset_at, group_at, names_in, number_in, text_in

KNOWN_VERSIONS = range(100, 161)
"""CXI 1.0 to 1.6, times 100."""
NUMBERED = re.compile(r"([a-z]+)_(\d+)")
CLASS_RULES = {
    "data": data_findings,
    "detector": detector_findings,
    "image": image_findings,
    "sample": sample_findings,
    "geometry": geometry_findings,
    "source": source_findings,
    "beam": beam_findings,
}
CLASSES = (
    *("attenuator", "beam", "data", "detector", "entry", "geometry", "image", "instrument", "log"),
    *("monochromator", "note", "process", "result", "sample", "source"),
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
"""ISO 8601 with the "T" that the specification asks for."""


def cxi_findings(file: h5py.File) -> Iterator[Finding]:
    """Everything in the file that the CXI specification does not allow."""
    yield from _version_findings(file)
    entries = _numbered(file, "entry")
    if not entries:
        yield error("/", "there is no 'entry_1', so it is not a CXI file; add one or convert the file.")
        return
    stated = number_in(dataset_at(file, "number_of_entries"))
    if stated is not None and int(stated) != len(entries):
        yield warning("/number_of_entries", f"says {int(stated)}, but there are {len(entries)} entries; correct it.")
    yield from _numbering_findings(file)
    for number in sorted(entries):
        entry = group_at(file, f"entry_{number}")
        if entry is None:
            yield error(f"/entry_{number}", "is not an h5 group; a CXI entry must be one.")
            continue
        yield from _entry_findings(entry)


def _version_findings(file: h5py.File) -> Iterator[Finding]:
    dataset = dataset_at(file, "cxi_version")
    if dataset is None:
        yield error("/cxi_version", "is missing; write the integer 160 for CXI 1.6.")
        return
    version = number_in(dataset)
    if dataset.dtype.kind not in "iu" or version is None:
        yield error("/cxi_version", f"must be one integer (160 for CXI 1.6), not {dataset.dtype} {dataset.shape}.")
    elif int(version) not in KNOWN_VERSIONS:
        yield warning("/cxi_version", f"is {int(version)}; this check knows versions 100 to 160.")


def _entry_findings(entry: h5py.Group) -> Iterator[Finding]:
    if not _numbered(entry, "data"):
        yield error(str(entry.name), "has no 'data_1'; every CXI entry needs at least one data group.")
    for name in ("start_time", "end_time"):
        text = text_in(dataset_at(entry, name))
        if text and not TIME.fullmatch(text):
            yield error(f"{entry.name}/{name}", f"is {text!r}; CXI dates follow ISO 8601: 1996-07-31T21:15:22+0600.")
    yield from _class_findings(entry)


def _class_findings(group: h5py.Group) -> Iterator[Finding]:
    """Everything below `group`: the rules of each numbered class, links and numbering."""
    yield from _numbering_findings(group)
    for name in names_in(group):
        link = group.get(name, getlink=True)
        member = group.get(name)
        if isinstance(link, h5py.SoftLink) and member is None:
            yield error(f"{group.name}/{name}", f"links to {link.path}, which does not exist; correct the link.")
            continue
        matched = NUMBERED.fullmatch(name)
        if matched and matched[1] in CLASS_RULES:
            if isinstance(member, h5py.Group):
                yield from CLASS_RULES[matched[1]](member)
            else:
                yield error(f"{group.name}/{name}", f"is not an h5 group; the CXI class {matched[1]} must be one.")
        if isinstance(member, h5py.Group) and isinstance(link, h5py.HardLink):
            yield from _class_findings(member)


def _numbering_findings(group: h5py.Group) -> Iterator[Finding]:
    """Classes are numbered from 1 without a gap."""
    for kind in CLASSES:
        numbers = sorted(_numbered(group, kind))
        if numbers != list(range(1, len(numbers) + 1)):
            found = ", ".join(f"{kind}_{number}" for number in numbers)
            yield error(str(group.name), f"holds {found}; CXI counts from {kind}_1 without a gap: rename them.")


def _numbered(group: h5py.Group, kind: str) -> list[int]:
    return [int(matched[2]) for name in names_in(group) if (matched := NUMBERED.fullmatch(name)) and matched[1] == kind]

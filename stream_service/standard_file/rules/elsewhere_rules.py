"""Rules against pointers to other files: their contents could be anything, and change unseen."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.cut_short import CutShortError
from stream_service.standard_file.rules.finding import Finding, error
from stream_service.standard_file.schema.contents import names_in


def elsewhere_findings(file: BoundedFile) -> Iterator[Finding]:
    """Every object that cannot be reached, or is kept where it may not be; nothing else is looked at."""
    todo: list[h5py.Group] = [file]
    seen: set[tuple[int, int]] = set()
    while todo:
        group = todo.pop()
        info = h5o.get_info(group.id)
        if (info.fileno, info.addr) in seen:
            continue
        seen.add((info.fileno, info.addr))
        for name in names_in(group):
            try:
                member = group.get(name)
            except CutShortError as problem:  # and so are others of its datasets
                yield error(str(file.path), f"{str(problem).removeprefix(f'{file.path} ')}.")
                return
            except SourceError as problem:
                where = f"{str(group.name).rstrip('/')}/{name}"
                yield error(where, f"{str(problem).removeprefix(f'{file.path}:{where} ')}.")
                continue
            if isinstance(member, h5py.Group):
                todo.append(member)

"""Settings of the file in which hardware writes the arrays that it captures."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from stream_service.settings.ioc_files import IocFiles

PARTS = ("scan_id", "path")
"""Of a request, which a path may have in braces."""
RIGHT_PV = "Give arrays_file.pv the PV with the full name of the file, as BL1:PANDA:DATA:HDF_FULL_FILE_PATH"
BRACES = re.compile(r"\{([^{}]*)\}")


class ArraysFileSettings(IocFiles):
    """The HDF5 file in which hardware (PandA) writes arrays: a one-dimensional dataset for each channel that is paired
    by `index` and has no `pv`. A request may name the file of its scan (`arrays_file`)."""

    path: str = ""
    """The file of a scan as its IOC names it, such as `/panda/{path}/{scan_id}.h5`: with scan_id and path of the
    request."""
    pv: str = ""
    """In its place: the CA PV that names the file (`BL1:PANDA:DATA:HDF_FULL_FILE_PATH`)."""
    timeout_s: Annotated[float, Field(ge=0)] = 30.0
    """Seconds for which the end of a run waits for a file that is not closed, after more entries came last, while
    frames are without one."""

    @field_validator("path")
    @classmethod
    def _has_known_parts(cls, path: str) -> str:
        unknown = [part for part in BRACES.findall(path) if part not in PARTS]
        if unknown or re.search(r"[{}]", BRACES.sub("", path)):
            raise ValueError(f"path {path!r} may have {{scan_id}} and {{path}} of the request in braces, nothing else")
        return path

    @model_validator(mode="after")
    def _has_one_name(self) -> Self:
        if self.path and self.pv:
            raise ValueError("arrays_file has 'path' and 'pv': give one of them")
        return self

    @property
    def is_named(self) -> bool:
        """True if it is known which file that of a scan is."""
        return bool(self.path or self.pv)

    def path_of(self, scan_id: str, path: str) -> str:
        """The file of a scan, as its IOC names it; empty where no path is given."""
        return BRACES.sub(lambda part: scan_id if part[1] == "scan_id" else path, self.path)

"""Settings of the raw file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stream_service.settings.ioc_files import IocFiles


class RawFileSettings(IocFiles):
    """The raw file that areaDetector writes beside the standard file: every frame that PVA may lose is in it."""

    plugin: str = ""
    """Prefix of the NDFileHDF5 plugin (`BL1:HDF1:`): lets `check` compare it with the layout, and tells where the raw
    file is if the request does not."""
    layout: str | None = None
    """Its layout XML, relative to the profile."""
    attributes: str | None = None
    """The camera's NDAttributes XML, relative to the profile."""
    timeout_s: Annotated[float, Field(ge=0)] = 30.0
    """Seconds for which the end of a run waits for a raw file that is not closed, after more of the run was found in it
    last, while frames are missing."""

"""The raw file of a live run: which it is, and whether the frames of this transport can be found in it."""

from __future__ import annotations

from stream_service.errors import SourceError
from stream_service.run.live.frame_transport import counts_each_series, wanted_attributes
from stream_service.settings.profile import Profile
from stream_service.sources.hdf5.raw_file import RawFile

NOT_NAMED = (
    "lost frames can only be counted, since no raw file is named (raw_file of the request, or raw_file.plugin of the "
    "profile)"
)
OTHER_IDS = "lost frames can only be counted: those of {transport} are numbered by series, which no raw file tells"


def open_raw_file(profile: Profile, name: str) -> RawFile:
    """The raw file of this name, as the IOC has it. Raises `SourceError` that says why there is none."""
    frames = profile.detector.frames
    if counts_each_series(frames):
        raise SourceError(OTHER_IDS.format(transport="SIMPLON" if frames.simplon else "Stream2"))
    if not name:
        raise SourceError(NOT_NAMED)
    return RawFile(
        profile.raw_file.local_path(name),
        timestamp_field="dataTimeStamp" if frames.adzmq else profile.detector.frame_time.field,
        wanted_attributes=wanted_attributes(profile),
    )

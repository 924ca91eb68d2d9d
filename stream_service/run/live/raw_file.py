"""The raw files of a live run: which they are, and whether the frames of this transport can be found in it."""

from __future__ import annotations

from collections.abc import Sequence

from stream_service.errors import SourceError
from stream_service.run.live.frame_transport import counts_each_series, wanted_attributes
from stream_service.settings.profile import Profile
from stream_service.sources.hdf5.raw_file import RawFile
from stream_service.sources.hdf5.raw_files import RawFiles

NOT_NAMED = (
    "lost frames can only be counted, since no raw file is named (raw_file of the request, or raw_file.plugin of the "
    "profile)"
)
OTHER_IDS = "lost frames can only be counted: those of {transport} are numbered by series, which no raw file tells"


def open_raw_file(profile: Profile, names: Sequence[str]) -> RawFiles:
    """The raw files of these names, as the IOC has them. Raises `SourceError` that says why there is none."""
    frames = profile.detector.frames
    if counts_each_series(frames):
        raise SourceError(OTHER_IDS.format(transport="SIMPLON" if frames.simplon else "Stream2"))
    if not names:
        raise SourceError(NOT_NAMED)
    paths = [profile.raw_file.local_path(name) for name in names]
    file = RawFile(
        paths[0],
        timestamp_field="dataTimeStamp" if frames.adzmq else profile.detector.frame_time.field,
        wanted_attributes=wanted_attributes(profile),
    )
    return RawFiles(file, lambda: paths)

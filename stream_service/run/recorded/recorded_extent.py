"""Check of the frames and positions that the operator names, in a recording that grows no more."""

from __future__ import annotations

from stream_service.errors import ConfigError
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.sources.recording import Recording


def check_names_of_frames(recording: Recording, settings: IngestSettings, frames_per_row: int) -> None:
    """Raise `ConfigError` for an id, a group or a rejected position beyond those of the recording."""
    n_frames, first_id, last_id = recording.n_frames, recording.first_unique_id, None
    if recording.identities is not None and len(recording.identities[0]):
        last_id = int(recording.identities[0].max())
    if settings.first_unique_id is not None:
        first_id = settings.first_unique_id
        if last_id is not None and first_id > last_id:
            raise ConfigError(
                f"--first-id {first_id}: {recording.path} has no frame of this or a later uniqueId; the last is "
                f"{last_id}"
            )
    span = 0 if last_id is None else last_id - first_id + 1  # ids that are missing have their places
    n_places = max(n_frames, recording.n_expected or 0, span)
    if frames_per_row > n_places:
        raise ConfigError(
            f"--frames-per-pos {frames_per_row}: {recording.path} has {n_frames} frames, so no position has so many"
        )
    n_positions = -(-n_places // frames_per_row)
    if beyond := sorted(position for position in settings.rejected if position >= n_positions):
        named = ", ".join(map(str, beyond[:5])) + (", ..." if len(beyond) > 5 else "")
        raise ConfigError(
            f"--reject-json names position {named}, but {recording.path} has {n_positions} positions, 0 to "
            f"{n_positions - 1}: is the list that of another scan, or one of frames?"
        )

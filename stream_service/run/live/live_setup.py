"""Set-up of a live run: its file is tried when the run is armed, and made when the first frame shows its shape and
type."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from numpy.typing import DTypeLike

from stream_service.cancellation import Cancellation
from stream_service.core.exposure import Exposure
from stream_service.core.frame import AttributeValue, Frame
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.rule import How
from stream_service.core.plausibility import number_doubt
from stream_service.core.stream import Begin
from stream_service.errors import ConfigError, SourceError
from stream_service.kernels import Corrections, FrameReducer
from stream_service.run.corrections import (
    corrections_from,
    digests_of,
    images_of,
    load_references,
    reference_notes,
)
from stream_service.run.file_system import check_new_file
from stream_service.run.journal import FileBegin
from stream_service.run.live.check_numbers import planned_doubts
from stream_service.run.live.grouping_checks import check_grouping, check_shares, grouping_doubts
from stream_service.run.live.live_journal import LiveJournal
from stream_service.run.live.live_settings import (
    check_exposures,
    check_places,
    file_path,
    live_rules,
    live_settings,
    partition_and_rows,
    planned_of,
    with_arrays_file,
    with_references,
)
from stream_service.run.live.live_sources import LiveSources
from stream_service.run.live.raw_file import open_raw_file
from stream_service.run.live.run_trial import check_space, try_file
from stream_service.run.live.taken_names import refuse_taken_name
from stream_service.run.past import Past
from stream_service.run.rows.sink import Sink
from stream_service.run.run_file import RunFile, open_run_file
from stream_service.run.settings import UNKNOWN_DTYPE, RunSettings, grouping_notes, warm_up
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.sources.hdf5.raw_files import RawFiles

log = logging.getLogger(__name__)


class LiveSetup:
    """The set-up of a run that a request asks for; see `RunSetup`."""

    def __init__(self, profile: Profile, request: ScanRequest, sources: LiveSources) -> None:
        if request.group_by is None:
            request = request.model_copy(update={"group_by": profile.preprocessing.group_by})
        self.journal = LiveJournal(profile, request)
        self._request = request
        self._profile = profile = with_arrays_file(with_references(profile, request), request)
        if profile.datasets_of_file:
            sources.follow_arrays(profile)
        self.scan_id, self.path = request.scan_id, file_path(profile, request)
        self.rules = live_rules(profile)
        self.n_planned, self.n_extra = request.n_planned_frames, request.extra_frames
        self.n_shares = profile.detector.shards
        self._partition, self.n_rows_expected = partition_and_rows(profile, request)
        self._sources = sources
        self._corrections = Corrections()
        self._reducer: FrameReducer | None = None
        self._exposure_s = self._armed_exposure_s = math.nan
        self._series_exposure_s: float | None = None
        self.notes: tuple[str, ...] = ()
        """What is to be said of the references and the planned scan, in sentences."""

    def check(self, cancellation: Cancellation) -> None:
        """Checks that need no beamline: the folder, and the references. Raises `PtychostreamError`."""
        self.check_place()
        check_places(self._profile, self._request)
        check_grouping(self._profile, self._request)
        check_shares(self._profile, self._request)
        if (doubt := number_doubt("exposure_s", self._request.exposure_s or math.nan)) is not None:
            raise ConfigError(f"exposure_s of the request {doubt.message}")
        references = load_references(self._profile, cancellation)
        preprocessing, images = self._profile.preprocessing, images_of(references)
        self._corrections = corrections_from(preprocessing, images)
        self.journal.references = digests_of(images)
        if self._request.exposure_s is not None:
            flat_is = self._corrections.flat_is
            check_exposures(self._profile.references, references, self._request.exposure_s, flat_is)
        self.notes = (
            *reference_notes(preprocessing, images, self._corrections),
            *grouping_notes(preprocessing),
            *grouping_doubts(self._profile, planned_of(self._request)),
        )

    def check_place(self) -> None:
        """See that the file can be made. Raises `PtychostreamError`."""
        check_new_file(self.path)
        refuse_taken_name(self._profile, self.scan_id, self.path)

    def rename(self, scan_id: str) -> None:
        """Give the run another name while it has no file; raises `PtychostreamError` if that one is taken."""
        self._request = self._request.model_copy(update={"scan_id": scan_id})
        self.scan_id, self.path = scan_id, self.path_of(scan_id)
        self.journal.request = self._request
        self.check_place()

    def path_of(self, scan_id: str) -> Path:
        """The file, if the run had that name."""
        return file_path(self._profile, self._request.model_copy(update={"scan_id": scan_id}))

    def prepare(self, begin: Begin) -> None:
        """Make the kernel for the frames of this series, and try everything that the file will need.

        So the first frame need not wait, and what cannot be written is refused now. Raises `PtychostreamError`.
        """
        if begin.shape is not None:
            reducer = self._reducer_for(begin.shape, begin.dtype)
        else:
            reducer = warm_up(self._profile.preprocessing, self._partition.frames_per_row, begin.dtype)
        self._series_exposure_s = begin.exposure_s
        self._armed_exposure_s = self._asked_exposure_s()
        if begin.shape is not None:
            frame = self._sources.latest_frame()
            energy_eV = self._energy_at(frame.attributes if frame is not None else {})
            self.notes += tuple(planned_doubts(self._profile, self._request, reducer.out_shape, energy_eV))
        row_bytes = 4 * math.prod(reducer.out_shape) if begin.shape is not None else 0
        check_space(self.path, row_bytes * (self.n_rows_expected or 0))
        try_file(self.path, self._settings, reducer)

    def exposure_of(self, frame: Frame) -> float:
        """Exposure time by the frame; else by the plan, or the series; else by the detector at the first frame."""
        own = frame.attributes.get(self._profile.detector.exposure_attribute)
        if isinstance(own, int | float) and math.isfinite(known := possible_s(own)):
            return known
        if math.isnan(self._exposure_s):
            try:
                self._exposure_s = self._asked_exposure_s()
            except SourceError as error:
                log.warning("the exposure time is taken as it was when the run was armed: %s", error)
                self._exposure_s = self._armed_exposure_s
        return self._exposure_s

    def _asked_exposure_s(self) -> float:
        return possible_s(self._request.exposure_s or self._series_exposure_s or self._sources.detector.exposure_s)

    def open_raw_file(self) -> RawFiles:
        """See `RunSetup`: the file that the request names, and those that the HDF5 plugin has written."""
        names = (self._request.raw_file or "", *self._sources.raw_file_names)
        return open_raw_file(self._profile, tuple(filter(None, names)))

    def see(self, exposure: Exposure) -> None:
        """Nothing is to be said of single exposures that their flags do not say."""

    def check_end(self) -> None:
        """Nor of all of them."""

    def open(self, frame: Frame, ledger: Ledger, sinks: Iterable[Sink]) -> RunFile:
        """Create the file for frames like this one; raises `PtychostreamError` when it or the settings do not fit."""
        rows, columns = frame.pixels.shape
        energy_eV, exposure_s = self._energy_at(frame.attributes), self.exposure_of(frame)
        begin = FileBegin((rows, columns), frame.pixels.dtype, energy_eV, exposure_s, time.time_ns())
        return self._open(begin, ledger, sinks)

    def _open(self, begin: FileBegin, ledger: Ledger, sinks: Iterable[Sink]) -> RunFile:
        reducer = self._reducer_for(begin.raw_shape, begin.dtype)
        return open_run_file(self.path, self._settings, reducer, ledger, begin, sinks=sinks)

    def past(self) -> Past:
        """A new run has none."""
        return Past()

    @property
    def _settings(self) -> RunSettings:
        return live_settings(self._profile, self._request, self._corrections, self.notes)

    def _reducer_for(self, shape: tuple[int, int], dtype: DTypeLike | None) -> FrameReducer:
        if self._reducer is None or self._reducer.geometry.raw_shape != shape:
            self._reducer = self._settings.reducer(shape, dtype or UNKNOWN_DTYPE)
        return self._reducer

    def _energy_at(self, attributes: Mapping[str, AttributeValue]) -> float:
        """The energy a reader finds before the first row; that of the rows replaces it at the end."""
        channel = self._profile.channels["energy"]
        if channel.how is How.INDEX:
            return self._request.energy_eV or math.nan
        raw = attributes.get(channel.attribute) if channel.attribute else self._sources.readbacks.latest("energy")
        return float(raw) * self._profile.scale_of("energy") if isinstance(raw, int | float) else math.nan


def possible_s(exposure_s: float) -> float:
    """The exposure time; NaN, which is not known, for one that no frame has."""
    doubt = number_doubt("exposure_s", exposure_s)
    return math.nan if doubt is not None and doubt.is_impossible else float(exposure_s)

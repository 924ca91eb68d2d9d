"""The runs of a service, as they are made from a request, or from what an interrupted one has left; not armed yet."""

from __future__ import annotations

from collections.abc import Sequence

from stream_service.run.live.beamline_monitors import BeamlineMonitors
from stream_service.run.live.live_setup import LiveSetup
from stream_service.run.live.live_sources import LiveSources
from stream_service.run.live.resumed_setup import ResumedSetup, ResumedSources
from stream_service.run.live.unfinished_run import UnfinishedRun
from stream_service.run.rows.sink import Sink
from stream_service.run.run import Run
from stream_service.run.setup import RunSetup
from stream_service.run.sources import Sources
from stream_service.service.data_disk import DataDisk
from stream_service.service.run_news import RunNews
from stream_service.service.standby import AutoSetup
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest


class RunMaker:
    """Makes runs, in the threads of their armings; all of them tell their news, and bring their rows to the sinks."""

    def __init__(self, profile: Profile, news: RunNews, sinks: Sequence[Sink], disk: DataDisk) -> None:
        self.monitors: BeamlineMonitors | None = None
        """Of the beamline, while the service serves."""
        self._profile = profile
        self._news = news
        self._sinks = tuple(sinks)
        self._disk = disk

    def ordered(self, request: ScanRequest) -> Run:
        """A run that a plan orders. Raises `ConfigError` where its files would go to another disk."""
        return self._live(LiveSetup, request)

    def auto(self, request: ScanRequest) -> Run:
        """A run of whatever the detector does next."""
        return self._live(AutoSetup, request)

    def resumed(self, unfinished: UnfinishedRun, over_because: str) -> Run:
        """The run that an unfinished one goes on as; `over_because` says why it takes no more frames, if so."""
        profile, begin = unfinished.profile(), unfinished.armed.series.to_core()
        sources = ResumedSources(profile, self._beamline, begin, is_over=bool(over_because))
        return self._run(ResumedSetup(profile, unfinished, sources, over_because), sources)

    def _live(self, setup: type[LiveSetup], request: ScanRequest) -> Run:
        self._disk.check()
        sources = LiveSources(self._profile, self._beamline)
        return self._run(setup(self._profile, request, sources), sources)

    def _run(self, setup: RunSetup, sources: Sources) -> Run:
        return self._news.of(lambda listeners: Run(setup, sources, sinks=self._sinks, listeners=listeners))

    @property
    def _beamline(self) -> BeamlineMonitors:
        assert self.monitors is not None, "a run is made while the service serves"
        return self.monitors

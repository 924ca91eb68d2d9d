"""The channels of a live run of which some are arrays that hardware writes into a file."""

from __future__ import annotations

from stream_service.core.stream import ReadbackEvent
from stream_service.sources.hdf5.arrays_file import ArraysFile
from stream_service.sources.live.ca_readbacks import ReadbackStream


class LiveReadbacks:
    """See `ReadbackSource`: PVs and the file, as one run hears them."""

    def __init__(self, pvs: ReadbackStream, file: ArraysFile) -> None:
        self._pvs = pvs
        self._file = file

    def start(self) -> None:
        """Hear of the PVs from now on; the file is started by itself, since that takes time."""
        self._pvs.start()

    def take(self) -> list[ReadbackEvent]:
        """See `ReadbackSource`."""
        return [*self._pvs.take(), *self._file.take()]

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        """See `ReadbackSource`. Frames have come: the file is that of their scan."""
        self._pvs.ask(frame_end_ns, arrived_at)
        self._file.fix()

    def go_on(self) -> bool:
        """See `ReadbackSource`."""
        return self._pvs.go_on()

    def finish(self) -> None:
        """See `ReadbackSource`."""
        self._pvs.finish()

    def notes(self) -> list[str]:
        """What is wrong with the file, in sentences."""
        return [*self._pvs.notes(), *filter(None, (self._file.sentence, self._file.remark))]

    def latest(self, channel: str) -> float:
        """The last value received, in the channel's own unit."""
        return self._pvs.latest(channel)

    def silent(self) -> list[str]:
        """The PVs that do not answer now."""
        return self._pvs.silent()

    def close(self) -> None:
        """Hear no more."""
        self._pvs.close()
        self._file.close()

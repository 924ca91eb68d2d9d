"""Bluesky's documents about the rows of one standardized file: where they are, never the pixels themselves."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import h5py
from bluesky.protocols import StreamAsset
from event_model import ComposeStreamResource, ComposeStreamResourceBundle, DataKey, StreamRange

DATASET = "/entry/data"
MIMETYPE = "application/x-hdf5"


class RowDocuments:
    """One stream resource for the file, and a stream datum for each range of rows, in order and without gaps."""

    def __init__(self, data_key: str, source: str) -> None:
        self._data_key = data_key
        self._source = source
        self._bundle: ComposeStreamResourceBundle | None = None
        self._rows_told = 0
        self._is_declared = False

    def describe(self, file: str) -> dict[str, DataKey]:
        """The data key of a row, (1, y, x) float32; from now on `up_to` gives documents.

        The size of a frame is read from the file; where this machine cannot open it, it is given as unknown.
        """
        self._is_declared = True
        return {
            self._data_key: DataKey(
                source=self._source,
                dtype="array",
                dtype_numpy="<f4",
                shape=[1, *frame_shape(file)],
                external="STREAM:",
            )
        }

    def up_to(self, rows: int, file: str) -> Iterator[StreamAsset]:
        """The documents of the rows that were not told before, up to `rows`; none before `describe`."""
        if not self._is_declared or rows <= self._rows_told:
            return
        if self._bundle is None:
            shape = frame_shape(file)
            self._bundle = ComposeStreamResource()(
                mimetype=MIMETYPE,
                uri=f"file://localhost{quote(file)}",
                data_key=self._data_key,
                parameters={
                    "dataset": DATASET,
                    "swmr": True,
                    "chunk_shape": (1,) if None in shape else (1, *shape),
                },
            )
            yield "stream_resource", self._bundle.stream_resource_doc
        new_rows = StreamRange(start=self._rows_told, stop=rows)
        self._rows_told = rows
        yield "stream_datum", self._bundle.compose_stream_datum(new_rows)


def frame_shape(file: str) -> tuple[int | None, int | None]:
    """Rows and columns of a stored frame, or (None, None) if the file cannot be read from here."""
    try:
        with h5py.File(file, "r", swmr=True) as opened:
            frames = opened.get(DATASET)
            if not isinstance(frames, h5py.Dataset):
                return None, None
            _, height, width = frames.shape
    except OSError:
        return None, None
    return height, width

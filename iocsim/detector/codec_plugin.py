"""Codec1: frames compressed on their way from the camera to Pva1.

It gives them to whoever takes arrays from its port: with `Pva1:NDArrayPort` = CODEC1 they go out compressed, with SIM1,
the camera's, they go out as they are. Compression runs in the detector's thread whatever BlockingCallbacks says: a slow
codec slows the detector, where the real plugin would drop frames, so what the truth says of a frame stays exact.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from iocsim.detector.codecs import (
    BLOSC_COMPRESSORS,
    BLOSC_SHUFFLES,
    COMPRESSORS,
    NO_COMPRESSOR,
    CodecError,
    CodecSettings,
    codec_name,
    compress,
)
from iocsim.detector.ndarray import Compressed, NDArray
from iocsim.detector.plugin import Arrays, Plugin
from iocsim.pv import Choice, PutHook, PvTable, Text

CODEC_PORT = "CODEC1"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Outcome of the last array; replaced as a whole."""

    factor: float = 1.0
    """Bytes of the pixels over bytes of the payload."""
    status: str = "Success"
    error: str = ""


class CodecPlugin(Plugin):
    """NDPluginCodec. Decompress passes on what comes, as does Compress without a compressor: no camera compresses."""

    takes_compressed = True

    def __init__(self, table: PvTable, compressor: str) -> None:
        """`compressor` is the first value of Compressor; unless it is None the plugin is enabled from the start."""
        is_used = compressor != NO_COMPRESSOR
        super().__init__(table, "NDPluginCodec", CODEC_PORT, is_enabled=is_used, gives_arrays=True, n_threads=5)
        self._outcome = _Outcome()
        first = CodecSettings()
        self._mode = table.pair("Mode", Choice(("Compress", "Decompress")))
        self._compressor = table.pair("Compressor", Choice(COMPRESSORS, COMPRESSORS.index(compressor)))
        self._jpeg_quality = table.pair("JPEGQuality", first.jpeg_quality, on_put=_within(1, 100))
        self._zlib_level = table.pair("ZlibCLevel", first.zlib_level, on_put=_within(0, 9))
        self._blosc_compressor = table.pair("BloscCompressor", Choice(BLOSC_COMPRESSORS))
        self._blosc_level = table.pair("BloscCLevel", first.blosc_level, on_put=_within(0, 9))
        self._blosc_shuffle = table.pair("BloscShuffle", Choice(BLOSC_SHUFFLES))
        self._blosc_threads = table.pair("BloscNumThreads", first.blosc_threads, on_put=_within(1))
        self._lz4hdf5_block = table.pair("LZ4HDF5BlockSize", first.lz4hdf5_block_bytes, on_put=_within(0))
        self._factor = table.readback("CompFactor_RBV", 1.0, units="%", precision=2)
        self._status = table.readback("CodecStatus", Choice(("Success", "Warning", "Error")))
        self._error = table.readback("CodecError", Text())

    def process(self, arrays: Arrays) -> NDArray | None:
        """The array as the port CODEC1 gives it, in the driver's thread; None if it gives none.

        What the codec cannot compress is passed on as it is, and CodecStatus and CodecError say so.
        """
        array = self.wanted(arrays)
        if array is None:
            return None
        started_s = time.perf_counter()
        self.saw(array)
        self.counter.value += 1
        compressor = NO_COMPRESSOR if self._mode.value == "Decompress" else self._compressor.value
        outcome = _Outcome()
        if compressor != NO_COMPRESSOR:
            try:
                payload = compress(array.pixels, compressor, self._settings())
            except CodecError as error:
                outcome = _Outcome(status="Error", error=str(error))
            else:
                outcome = _Outcome(array.pixels.nbytes / len(payload))
                array = replace(array, compressed=Compressed(codec_name(compressor), payload))
        self._outcome = outcome
        self.execution_s = time.perf_counter() - started_s
        return array if self._array_callbacks.is_on else None

    async def refresh(self) -> None:
        """See `Plugin`; and how the last array went."""
        await super().refresh()
        outcome = self._outcome
        await self._factor.follow(outcome.factor)
        await self._error.follow(outcome.error)
        await self._status.follow(outcome.status)

    def _settings(self) -> CodecSettings:
        return CodecSettings(
            jpeg_quality=self._jpeg_quality.value,
            zlib_level=self._zlib_level.value,
            blosc_compressor=self._blosc_compressor.value,
            blosc_level=self._blosc_level.value,
            blosc_shuffle=self._blosc_shuffle.value,
            blosc_threads=self._blosc_threads.value,
            lz4hdf5_block_bytes=self._lz4hdf5_block.value,
        )


def _within(lowest: int, highest: int | None = None) -> PutHook:
    """A hook that takes the nearest number that the record allows."""

    async def clip(value: Any) -> int:
        return max(lowest, value if highest is None else min(value, highest))

    return clip

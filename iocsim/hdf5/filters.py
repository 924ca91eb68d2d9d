"""The compressions NDFileHDF5 offers, as arguments of h5py."""

from __future__ import annotations

from typing import Any

import hdf5plugin


def filters_for(
    compression: str, *, zlib_level: int, blosc_compressor: str, blosc_shuffle: str, blosc_level: int
) -> tuple[dict[str, Any], str]:
    """Keyword arguments of `create_dataset` for a name of the record Compression, and why not, if not."""
    match compression:
        case "None":
            return {}, ""
        case "zlib":
            return {"compression": "gzip", "compression_opts": min(9, max(0, zlib_level))}, ""
        case "Blosc":
            shuffle = {"None": hdf5plugin.Blosc.NOSHUFFLE, "Byte": hdf5plugin.Blosc.SHUFFLE}
            name: Any = blosc_compressor.lower()
            blosc = hdf5plugin.Blosc(
                cname=name,
                clevel=min(9, max(0, blosc_level)),
                shuffle=shuffle.get(blosc_shuffle, hdf5plugin.Blosc.BITSHUFFLE),
            )
            return dict(blosc), ""
        case "BSLZ4":
            return dict(hdf5plugin.Bitshuffle()), ""
        case "LZ4":
            return dict(hdf5plugin.LZ4()), ""
    return {}, f"compression {compression} is not simulated"

"""Compressed frames of the simulated beamline, decoded by other libraries, against its own record of the pixels."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from beamline_client import BeamlineClient
from limits import HANG_S
from ophyd.areadetector.plugins import CodecPlugin_V35
from payload_decoder import pixels_of

from stream_service.pv_access import Context

DATA = Path(__file__).parents[2] / "data"
RECORDED = {name: found["pva"] for name, found in json.loads((DATA / "codecs" / "codecs.json").read_text()).items()}
NTNDARRAY = (DATA / "adcore_ntndarray.txt").read_text().split("# type\n", 1)[1].splitlines()[0]
ODD_SIZE = {"cam1__SizeX": 157, "cam1__SizeY": 131}
"""A number of pixels that no block size divides."""
WHOLE = {"cam1__SizeX": 256, "cam1__SizeY": 256, "cam1__DataType": "UInt16"}
LOSSLESS = {"Zlib": "zlib", "Blosc": "blosc", "LZ4": "lz4", "LZ4HDF5": "lz4hdf5", "BSLZ4": "bslz4"}
INITIAL = ("Codec1:Compressor_RBV", "Codec1:EnableCallbacks_RBV", "Codec1:PortName_RBV", "Pva1:NDArrayPort_RBV")


@dataclass
class Beamline:
    """A beamline started with `--codec bslz4`, and the frames a subscriber got."""

    client: BeamlineClient
    updates: list[Any]
    initial: dict[str, Any]
    folder: Path

    def send_by(self, compressor: str, **settings: Any) -> None:
        """Let frames go by way of Codec1."""
        self.client.put_all(
            Pva1__NDArrayPort="CODEC1",
            Codec1__EnableCallbacks=1,
            Codec1__ArrayCallbacks=1,
            Codec1__Mode="Compress",
            Codec1__Compressor=compressor,
            **settings,
        )

    def take(self, n_images: int) -> list[Any]:
        """Take images; gives the frames that came by PVA, all of them."""
        n_before, n_sent = len(self.updates), self.client.get("Sim:FramesSent_RBV")
        self.client.acquire(n_images)
        n_sent = self.client.get("Sim:FramesSent_RBV") - n_sent
        self.client.wait_until(lambda: len(self.updates) == n_before + n_sent)
        return self.updates[n_before:]

    def checksums(self) -> dict[int, int]:
        """CRC-32 of the pixels of every frame made so far, by uniqueId."""
        path = self.folder / "truth.npz"
        self.client.put("Sim:TruthFile", str(path))
        self.client.put("Sim:SaveTruth", 1)
        with np.load(path) as truth:
            return dict(zip(truth["unique_id"].tolist(), truth["crc32"].tolist(), strict=True))


@pytest.fixture(scope="module")
def beamline(start_ioc: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beamline]:
    ioc = start_ioc("--shape", "256,256", "--codec", "bslz4")
    client, context, updates = BeamlineClient(ioc.prefix), Context("pva", nt=False), []
    request = "field()record[queueSize=1000,pipeline=false]"
    subscription = context.monitor(f"{ioc.prefix}Pva1:Image", updates.append, request=request)
    client.wait_until(lambda: len(updates) == 1)
    initial = {name: client.get(name) for name in INITIAL}
    beamline = Beamline(client, updates, initial, tmp_path_factory.mktemp("codecs"))
    beamline.initial["codec"] = beamline.take(1)[0].codec.name
    yield beamline
    subscription.close()
    context.close()
    client.close()


def test_start_option_sets_up_the_plugins_and_the_first_frame_is_compressed(beamline: Beamline):
    assert beamline.initial == {
        "Codec1:Compressor_RBV": "BSLZ4",
        "Codec1:EnableCallbacks_RBV": "Enable",
        "Codec1:PortName_RBV": "CODEC1",
        "Pva1:NDArrayPort_RBV": "CODEC1",
        "codec": "bslz4",
    }


@pytest.mark.further(but=9)
@pytest.mark.parametrize("data_type", ["UInt8", "Int8", "UInt16", "Int32", "UInt64", "Float32", "Float64"])
@pytest.mark.parametrize("compressor", LOSSLESS)
def test_frames_are_bit_for_bit_those_the_detector_made(beamline: Beamline, compressor: str, data_type: str):
    beamline.send_by(compressor, **ODD_SIZE, cam1__DataType=data_type)
    frames = beamline.take(2)
    assert [frame.codec.name for frame in frames] == [LOSSLESS[compressor]] * 2
    checksums = beamline.checksums()
    for frame in frames:
        pixels = pixels_of(frame)
        assert (pixels.shape, pixels.dtype.name) == ((131, 157), data_type.lower())
        assert zlib.crc32(pixels.tobytes()) == checksums[frame.uniqueId]


@pytest.mark.further(but=2)
@pytest.mark.parametrize("compressor", RECORDED)
def test_structure_is_that_of_a_real_ioc(beamline: Beamline, compressor: str):
    recorded = RECORDED[compressor]
    beamline.send_by(compressor, **WHOLE, Codec1__BloscCLevel=5)
    if compressor == "JPEG":
        beamline.client.put("cam1:DataType", "UInt8")
    (frame,) = beamline.take(1)
    assert repr(frame.type()) == NTNDARRAY
    assert frame.codec.name == recorded["codec"]
    assert frame.codec.parameters == recorded["parameters"]
    assert frame.uncompressedSize == recorded["uncompressedSize"]
    assert frame.value.dtype.name == recorded["value"][0]
    assert frame.compressedSize == frame.value.nbytes
    assert [dimension.size for dimension in frame.dimension] == recorded["dims"]
    assert frame.changedSet() >= {"value", "codec.name", "codec.parameters", "compressedSize", "uncompressedSize"}
    factor = frame.uncompressedSize / frame.compressedSize
    assert beamline.client.get("Codec1:CompFactor_RBV") == pytest.approx(factor)
    assert beamline.client.get("Codec1:CodecStatus") == "Success"
    assert beamline.client.get("Codec1:Codec_RBV") == ""
    assert beamline.client.get("Pva1:Codec_RBV") == recorded["codec"]
    assert beamline.client.get("Pva1:CompressedSize_RBV") == frame.compressedSize


def test_codec_can_be_changed_between_acquisitions(beamline: Beamline):
    frames = []
    for compressor in [*LOSSLESS, "None", *reversed(LOSSLESS)]:
        beamline.send_by(compressor, **WHOLE)
        frames += beamline.take(1)
    codecs = list(LOSSLESS.values())
    assert [frame.codec.name for frame in frames] == [*codecs, "", *reversed(codecs)]
    assert np.diff([frame.uniqueId for frame in frames]).tolist() == [1] * 10
    checksums = beamline.checksums()
    for frame in frames:
        assert zlib.crc32(pixels_of(frame).tobytes()) == checksums[frame.uniqueId]


def test_codec_can_be_changed_while_frames_come(beamline: Beamline):
    beamline.send_by("None", **WHOLE)
    beamline.take(1)
    n_before = len(beamline.updates)
    beamline.client.put_all(cam1__ImageMode="Continuous", cam1__AcquireTime=0.002, cam1__AcquirePeriod=0.005)
    beamline.client.put("cam1:Acquire", 1, wait=False)
    for compressor, codec in LOSSLESS.items():
        beamline.client.put("Codec1:Compressor", compressor)
        beamline.client.wait_until(lambda codec=codec: beamline.updates[-1].codec.name == codec)
    beamline.client.put("cam1:Acquire", 0)
    beamline.client.wait_until(lambda: beamline.updates[-1].uniqueId == beamline.client.get("cam1:ArrayCounter_RBV"))
    frames, checksums = beamline.updates[n_before:], beamline.checksums()
    assert {frame.codec.name for frame in frames} >= set(LOSSLESS.values())
    assert set(np.diff([frame.uniqueId for frame in frames])) == {1}
    for frame in frames:
        assert zlib.crc32(pixels_of(frame).tobytes()) == checksums[frame.uniqueId]


def test_jpeg_is_nearly_the_frame_and_the_file_writer_beside_it_has_it_exactly(beamline: Beamline):
    beamline.send_by("JPEG", **ODD_SIZE, cam1__DataType="UInt8", Codec1__JPEGQuality=100)
    beamline.client.set_hdf1(beamline.folder, "beside_jpeg", HDF1__BlockingCallbacks="Yes", HDF1__NumCapture=2)
    beamline.client.begin_capture()
    frames = beamline.take(2)
    beamline.client.wait_for("HDF1:Capture_RBV", "Done")
    beamline.client.put("HDF1:EnableCallbacks", 0)
    with h5py.File(beamline.folder / "beside_jpeg.h5") as file:
        written = file["/entry/data/data"][()]
    checksums = beamline.checksums()
    for frame, exact in zip(frames, written, strict=True):
        assert (frame.codec.name, frame.codec.parameters) == ("jpeg", 5)
        assert zlib.crc32(exact.tobytes()) == checksums[frame.uniqueId]
        assert exact.std() > 1.0
        assert np.abs(pixels_of(frame).astype(int) - exact).max() <= 2


def test_jpeg_of_sixteen_bits_is_an_error_and_the_frame_goes_out_as_it_is(beamline: Beamline):
    beamline.send_by("JPEG", **WHOLE)
    (frame,) = beamline.take(1)
    assert (frame.codec.name, frame.value.dtype) == ("", np.uint16)
    assert zlib.crc32(frame.value.tobytes()) == beamline.checksums()[frame.uniqueId]
    assert beamline.client.get("Codec1:CodecStatus") == "Error"
    assert beamline.client.get("Codec1:CodecError") == "JPEG only supports 8-bit data"
    assert beamline.client.get("Codec1:CompFactor_RBV") == 1.0

    beamline.send_by("Zlib")
    beamline.take(1)
    assert beamline.client.get("Codec1:CodecStatus") == "Success"
    assert beamline.client.get("Codec1:CodecError") == ""


def test_plain_frames_go_out_past_codec1_and_through_it(beamline: Beamline):
    for settings in (
        {"Pva1__NDArrayPort": "SIM1"},
        {"Codec1__Compressor": "None"},
        {"Codec1__Mode": "Decompress"},
    ):
        beamline.send_by("LZ4", **WHOLE)
        beamline.client.put_all(**settings)
        (frame,) = beamline.take(1)
        assert (frame.codec.name, frame.compressedSize) == ("", 131072)
        assert zlib.crc32(frame.value.tobytes()) == beamline.checksums()[frame.uniqueId]


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    "settings",
    [{"Codec1__EnableCallbacks": 0}, {"Codec1__ArrayCallbacks": 0}, {"Pva1__NDArrayPort": "NOSUCH"}],
    ids=["codec disabled", "codec gives no arrays", "no such port"],
)
def test_pva_sends_nothing_when_its_port_gives_nothing(beamline: Beamline, settings: dict[str, Any]):
    beamline.send_by("LZ4", **WHOLE)
    beamline.client.put_all(**settings)
    assert beamline.take(2) == []
    beamline.send_by("LZ4")
    assert len(beamline.take(1)) == 1


def test_stats_counts_compressed_arrays_as_dropped_and_takes_plain_ones_from_the_same_port(beamline: Beamline):
    beamline.client.put_all(Stats1__EnableCallbacks=1, Stats1__NDArrayPort="CODEC1")
    beamline.send_by("LZ4", **WHOLE)
    beamline.client.put_all(Stats1__ArrayCounter=0, Stats1__DroppedArrays=0)
    beamline.take(3)
    assert beamline.client.get("Stats1:ArrayCounter_RBV") == 0
    assert beamline.client.get("Stats1:DroppedArrays_RBV") == 3
    beamline.send_by("None")
    beamline.take(2)
    assert beamline.client.get("Stats1:ArrayCounter_RBV") == 2
    assert beamline.client.get("Stats1:DroppedArrays_RBV") == 3
    beamline.client.put_all(Stats1__EnableCallbacks=0, Stats1__NDArrayPort="SIM1")


@pytest.mark.further(but=4)
@pytest.mark.parametrize(("shuffle", "flags"), [("None", 0b000), ("Byte", 0b001), ("Bit", 0b100)])
@pytest.mark.parametrize(
    ("inner", "code"), [("BloscLZ", 0), ("LZ4", 1), ("LZ4HC", 1), ("SNAPPY", 2), ("ZLIB", 3), ("ZSTD", 4)]
)
def test_blosc_compresses_with_what_the_pvs_say(beamline: Beamline, inner: str, code: int, shuffle: str, flags: int):
    beamline.send_by("Blosc", **ODD_SIZE, cam1__DataType="UInt16")
    beamline.client.put_all(
        Codec1__BloscCompressor=inner, Codec1__BloscShuffle=shuffle, Codec1__BloscCLevel=5, Codec1__BloscNumThreads=2
    )
    (frame,) = beamline.take(1)
    assert frame.value[2] >> 5 == code  # the upper three bits of the flags of a Blosc frame
    assert frame.value[2] & 0b101 == flags
    assert zlib.crc32(pixels_of(frame).tobytes()) == beamline.checksums()[frame.uniqueId]


def test_level_quality_and_block_size_reach_the_codec(beamline: Beamline):
    sizes = {}
    for compressor, setting, values in (
        ("Zlib", "ZlibCLevel", (0, 1, 9)),
        ("JPEG", "JPEGQuality", (10, 50, 95)),
        ("Blosc", "BloscCLevel", (0, 9)),
    ):
        beamline.send_by(compressor, **WHOLE | {"cam1__DataType": "UInt8"}, Codec1__BloscCompressor="ZLIB")
        for value in values:
            beamline.client.put(f"Codec1:{setting}", value)
            sizes[setting, value] = beamline.take(1)[0].compressedSize
    assert sizes["ZlibCLevel", 0] > 65536 > sizes["ZlibCLevel", 1] > sizes["ZlibCLevel", 9]
    assert sizes["JPEGQuality", 10] < sizes["JPEGQuality", 50] < sizes["JPEGQuality", 95]
    assert sizes["BloscCLevel", 0] == 65536 + 16 > sizes["BloscCLevel", 9]

    beamline.send_by("LZ4HDF5", Codec1__LZ4HDF5BlockSize=10_000)
    (frame,) = beamline.take(1)
    assert struct.unpack_from(">QI", frame.value.tobytes()) == (65536, 10_000)
    assert zlib.crc32(pixels_of(frame).tobytes()) == beamline.checksums()[frame.uniqueId]
    beamline.client.put("Codec1:LZ4HDF5BlockSize", 0)


@pytest.mark.further(but=2)
@pytest.mark.parametrize(
    ("name", "put", "shown"),
    [
        *(("JPEGQuality", 0, 1), ("JPEGQuality", 101, 100), ("ZlibCLevel", -1, 0), ("ZlibCLevel", 10, 9)),
        *(("BloscCLevel", 10, 9), ("BloscNumThreads", 0, 1), ("LZ4HDF5BlockSize", -5, 0)),
    ],
)
def test_a_setting_out_of_range_becomes_the_nearest_allowed(beamline: Beamline, name: str, put: int, shown: int):
    beamline.client.put(f"Codec1:{name}", put)
    assert beamline.client.get(f"Codec1:{name}_RBV") == shown


def test_stock_ophyd_plugin_sets_and_reads_it(beamline: Beamline):
    plugin = CodecPlugin_V35(f"{beamline.client.prefix}Codec1:", name="codec")
    shown = (plugin.plugin_type, plugin.comp_factor, plugin.codec_status, plugin.compressed_size)
    settings = {
        plugin.enable: ("Enable",),
        plugin.mode: ("Compress",),
        plugin.nd_array_port: ("SIM1",),
        plugin.blosc_compressor: ("ZSTD",),
        plugin.blosc_shuffle: ("Byte",),
        plugin.blosc_compression_level: (7,),
        plugin.blosc_num_threads: (1,),
        plugin.jpeg_quality: (90,),
        plugin.compressor: (*RECORDED, "Zlib"),
    }
    for signal in (*shown, *settings, plugin.codec_error):
        signal.wait_for_connection(HANG_S)
    for signal, values in settings.items():
        for value in values:
            signal.set(value).wait(HANG_S)
            assert signal.get() == value

    beamline.client.put_all(Pva1__NDArrayPort="CODEC1", **WHOLE)
    (frame,) = beamline.take(1)
    factor, n_bytes = pytest.approx(131072 / frame.compressedSize), 131072  # the size of what came in
    assert [signal.get() for signal in shown] == ["NDPluginCodec", factor, "Success", n_bytes]
    plugin.destroy()

"""TIFF files become frames: in the order of their numbers, value for value, or one sentence names what is wrong."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from tiff_scan import write_tiff

from stream_service.core.frame import MOST_FRAME_BYTES
from stream_service.errors import SourceError
from stream_service.sources.tiff.file import TiffFile
from stream_service.sources.tiff.files import find_tiff_files
from stream_service.sources.tiff.frames import TiffFrames

RNG = np.random.default_rng(3)
FRAME = RNG.integers(0, 60_000, (21, 34)).astype(np.uint16)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


def read_one(path: Path) -> np.ndarray[Any, Any]:
    with TiffFile(path) as file:
        return file.pixels(file.image(0))


def patched(path: Path, tag: int, **changes: int) -> Path:
    """The file with one tag of its first image changed: its `code`, `type`, `count`, or a `value` that fits into it."""
    data = bytearray(path.read_bytes())
    (at,) = struct.unpack_from("<I", data, 4)
    (n,) = struct.unpack_from("<H", data, at)
    for entry in range(at + 2, at + 2 + 12 * n, 12):
        if struct.unpack_from("<H", data, entry)[0] == tag:
            for name, value in changes.items():
                offset, form = {"code": (0, "<H"), "type": (2, "<H"), "count": (4, "<I"), "value": (8, "<I")}[name]
                struct.pack_into(form, data, entry + offset, value)
            path.write_bytes(data)
            return path
    raise AssertionError(f"{path} has no tag {tag}")


@pytest.fixture
def tiff(tmp_path: Path) -> Path:
    write_tiff(tmp_path / "scan_1.tif", FRAME)
    return tmp_path / "scan_1.tif"


# names and numbers


def test_files_come_in_the_order_of_their_numbers(tmp_path):
    touch(tmp_path, "scan_10.tif", "scan_2.tif", "scan_1.tif")
    files = find_tiff_files(str(tmp_path / "scan_*.tif"))
    assert [path.name for path in files.paths] == ["scan_1.tif", "scan_2.tif", "scan_10.tif"]
    assert files.numbers.tolist() == [1, 2, 10]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["s001_0007.tif", "s001_0008.tif"], [7, 8]),
        (["s1_5_v2.tif", "s1_6_v2.tif"], [5, 6]),  # the last group is the same in all names
        (["0010.tif", "0011.tif"], [10, 11]),
        (["s003_17.tif"], [17]),
        (["frame.tif"], [0]),
    ],
)
def test_number_is_the_last_group_of_digits_that_varies(tmp_path, names, numbers):
    touch(tmp_path, *names)
    assert find_tiff_files(str(tmp_path / "*.tif")).numbers.tolist() == numbers


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ([35, 36, 38], "scan001_0037.tif is missing"),
        ([8, 11], "scan001_0009.tif and scan001_0010.tif are missing"),
        (
            [1, 3, 100],
            "scan001_0002.tif, scan001_0004.tif, scan001_0005.tif, scan001_0006.tif, scan001_0007.tif and 92 more",
        ),
        ([9998, 10001], "scan001_9999.tif and scan001_10000.tif are missing"),
        ([1, 2, 3], ""),
    ],
)
def test_hole_is_reported_by_the_name_the_file_would_have(tmp_path, numbers, sentence):
    touch(tmp_path, *(f"scan001_{number:04d}.tif" for number in numbers))
    assert find_tiff_files(str(tmp_path / "scan001_*.tif")).missing.startswith(sentence)
    assert bool(find_tiff_files(str(tmp_path / "scan001_*.tif")).missing) == bool(sentence)


def test_numbers_without_zeros_in_front_are_reported_as_they_are_written(tmp_path):
    touch(tmp_path, "a9.tif", "a11.tif", "a12.tif")
    assert find_tiff_files(str(tmp_path / "a*.tif")).missing == "a10.tif is missing"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ["No files match", "shell quoting"]),
        (["scan_1.tif", "scan_01.tif"], ["scan_1.tif", "scan_01.tif", "same number 1"]),
        (["run1/f_1.tif", "run2/f_1.tif"], ["run1", "run2", "same number 1"]),
        (["scan_1.tif", "scan_dark.tif"], ["scan_1.tif", "scan_dark.tif", "narrow the pattern"]),
        (["scan_1.tif", "scan_2.tiff"], ["scan_1.tif", "scan_2.tiff", "narrow the pattern"]),
        (["s_1" + "0" * 20 + ".tif", "s_2" + "0" * 20 + ".tif"], ["too long"]),
    ],
)
def test_files_that_are_no_scan_are_refused_by_name(tmp_path, names, words):
    touch(tmp_path, *names)
    with pytest.raises(SourceError) as caught:
        find_tiff_files(str(tmp_path / ("run*/*.tif" if "/" in "".join(names) else "*.tif*")))
    assert all(word in str(caught.value) for word in words)


def test_name_with_brackets_is_found_as_it_is(tmp_path):
    touch(tmp_path, "scan[1].tif")
    assert find_tiff_files(str(tmp_path / "scan[1].tif")).paths == (tmp_path / "scan[1].tif",)


# pixels, against an independent reader


@pytest.mark.parametrize("code", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_every_pixel_type_is_read_value_for_value(tmp_path, code, byteorder):
    frame = (RNG.normal(0, 100, (7, 9)) * 37).astype(code)
    write_tiff(tmp_path / "f.tif", frame, byteorder=byteorder)
    read = read_one(tmp_path / "f.tif")
    assert read.dtype == frame.dtype and read.dtype.isnative
    np.testing.assert_array_equal(read, frame)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"rowsperstrip": 4},
        {"tile": (16, 16)},
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True, "rowsperstrip": 4},
        {"compression": "deflate", "tile": (16, 32), "predictor": True},
        {"compression": "packbits", "rowsperstrip": 1},
        {"compression": "zstd", "bigtiff": True},
        {"compression": "adobe_deflate", "byteorder": ">", "predictor": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("code", ["u2", "i4", "f4", "f8"])
def test_every_lossless_storage_gives_the_frame_bit_for_bit(tmp_path, options, code):
    frame = RNG.normal(0, 1000, (45, 34)).astype(code)
    write_tiff(tmp_path / "f.tif", frame, **options)
    np.testing.assert_array_equal(read_one(tmp_path / "f.tif"), frame)
    np.testing.assert_array_equal(read_one(tmp_path / "f.tif"), tifffile.imread(tmp_path / "f.tif"))


def test_strips_that_do_not_follow_each_other_are_put_in_place(tiff):
    whole = FRAME.tobytes()
    half = 11 * FRAME.shape[1] * 2
    # the second strip first; little-endian classic TIFF by hand
    offsets_at = 8 + len(whole)
    entries = [(256, 3, 1, 34), (257, 3, 1, 21), (258, 3, 1, 16), (273, 4, 2, offsets_at), (278, 3, 1, 11)]
    entries.append((279, 4, 2, offsets_at + 8))
    data = struct.pack("<2sHI", b"II", 42, offsets_at + 16) + whole[half:] + whole[:half]
    data += struct.pack("<4I", 8 + len(whole) - half, 8, half, len(whole) - half)
    data += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    tiff.write_bytes(data)
    np.testing.assert_array_equal(read_one(tiff), FRAME)


# what is refused


@pytest.mark.parametrize(
    ("code", "change", "words"),
    [
        (262, {"value": 2}, "colour"),
        (262, {"value": 3}, "colour"),
        (277, {"value": 3}, "3 samples a pixel"),
        (258, {"value": 12}, "12 bits"),
        (339, {"value": 5}, "cannot be read as a TIFF"),
        (256, {"value": 0}, "must have pixels"),
        (256, {"value": 60_000}, "fewer pixels"),
        (259, {"value": 7}, "JPEG"),
        (259, {"value": 4711}, "method 4711"),
        (273, {"value": 2**31}, "truncated"),
        (279, {"value": 100}, "fewer pixels"),
        (273, {"code": 900}, "missing data offset"),
        (257, {"code": 900}, "must have pixels"),
        (256, {"type": 12}, r"f.tif|scan_1.tif"),
        (258, {"count": 0}, "cannot be read as a TIFF"),
    ],
)
def test_tag_that_cannot_be_is_refused_in_a_sentence_with_the_name(tiff, code, change, words):
    if code == 339:  # which tifffile writes for signed pixels only
        write_tiff(tiff, FRAME.astype(np.int16))
    patched(tiff, code, **change)
    with pytest.raises(SourceError, match=words) as caught:
        read_one(tiff)
    assert str(tiff) in str(caught.value)


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("code", [273, 279])
def test_strip_that_is_nowhere_is_refused_and_never_read_as_zeros(tiff, compression, code):
    """As a writer leaves it that reserved the strips and died; many readers take such a strip for zeros."""
    write_tiff(tiff, FRAME, compression=compression)
    patched(tiff, code, value=0)
    with pytest.raises(SourceError, match="not written completely"):
        read_one(tiff)


def test_tile_that_is_nowhere_is_refused_and_never_read_as_zeros(tiff):
    write_tiff(tiff, FRAME, tile=(16, 16), compression="zstd")
    patched(tiff, 324, count=5)
    patched(tiff, 325, count=5)
    with pytest.raises(SourceError, match="not written completely"):
        read_one(tiff)


def test_size_of_a_tile_that_is_a_text_is_refused_before_it_is_multiplied(tiff):
    write_tiff(tiff, FRAME, tile=(16, 16))
    patched(tiff, 322, value=2**31 - 1)
    patched(tiff, 323, type=2)
    with pytest.raises(SourceError, match=r"claims a tile or strip of .*: it is damaged"):
        read_one(tiff)


def test_predictor_of_floats_is_refused_for_whole_numbers(tiff):
    write_tiff(tiff, FRAME, compression="lzw", predictor=True)
    patched(tiff, 317, value=3)
    with pytest.raises(SourceError, match="predictor of floats"):
        read_one(tiff)


def test_frame_beyond_the_largest_is_refused_before_it_is_allocated(tmp_path):
    path = tmp_path / "f.tif"
    write_tiff(path, np.zeros((1, 1 << 20), np.uint16), compression="deflate")
    patched(path, 257, value=1 + MOST_FRAME_BYTES // (1 << 21))
    with pytest.raises(SourceError):
        read_one(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"not a TIFF at all, but text of some length", "not a TIFF"),
        (b"II\x2a\x00\x00\x00\x00\x00" + bytes(8), "contains no pages"),
        (b"II\x2a\x00\x08\x00\x00\x00" + bytes(8), "f_1.tif"),
        (b"II\x2a\x00\xff\xff\xff\xff" + bytes(8), "is damaged"),
    ],
)
def test_file_that_is_no_tiff_is_refused_by_name(tmp_path, content, words):
    (tmp_path / "f_1.tif").write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        TiffFrames(str(tmp_path / "f_*.tif"))
    assert "f_1.tif" in str(caught.value)


def test_folder_pipe_and_missing_file_are_refused_at_once(tmp_path):
    (tmp_path / "f_1.tif").mkdir()
    os.mkfifo(tmp_path / "f_2.tif")
    for name, words in (("f_1.tif", "is not a file"), ("f_2.tif", "is not a file"), ("f_3.tif", "cannot be opened")):
        with pytest.raises(SourceError, match=words):
            TiffFile(tmp_path / name)


def test_file_cut_off_anywhere_is_refused(tmp_path):
    """Whatever is missing at the end of a file as areaDetector's library writes it, with its directory last."""
    path = tmp_path / "f.tif"
    write_tiff(path, np.stack([FRAME] * 2), compression="zstd")
    whole = path.read_bytes()
    for n_bytes in range(0, len(whole) - 1, 11):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(SourceError):
            list(TiffFrames(str(path)).read())


def test_compressed_strip_of_the_wrong_length_is_refused(tmp_path):
    path = tmp_path / "f.tif"
    write_tiff(path, FRAME, compression="lzw")
    patched(path, 257, value=FRAME.shape[0] + 1)
    patched(path, 278, value=FRAME.shape[0] + 1)
    with pytest.raises(SourceError, match="corrupted strip"):
        read_one(path)


# stacks


def test_stack_gives_its_images_in_order(tmp_path):
    stack = RNG.integers(0, 99, (7, 5, 6)).astype(np.uint16)
    for options in ({}, {"compression": "zstd"}, {"bigtiff": True}, {"metadata": {}}):
        write_tiff(tmp_path / "stack.tif", stack, **options)
        frames = TiffFrames(str(tmp_path / "stack.tif"))
        assert frames.is_stack and len(frames) == 7
        np.testing.assert_array_equal([frame.pixels for frame in frames.read()], stack)
        assert frames.numbers.tolist() == list(range(7))
        assert list(frames.places())[3] == ("stack.tif", 3)


def test_several_stacks_are_counted_on(tmp_path):
    stack = RNG.integers(0, 99, (8, 5, 6)).astype(np.uint16)
    for number, part in ((9, stack[:3]), (10, stack[3:6]), (11, stack[6:])):
        write_tiff(tmp_path / f"s_{number}.tif", part)
    frames = TiffFrames(str(tmp_path / "s_*.tif"))
    assert frames.numbers.tolist() == list(range(8))
    np.testing.assert_array_equal([frame.pixels for frame in frames.read()], stack)


@pytest.mark.parametrize("sizes", [{1: 3, 3: 3}, {1: 3, 2: 2, 3: 3}, {1: 2, 2: 3}])
def test_stacks_of_which_images_may_be_missing_are_not_numbered(tmp_path, sizes):
    for number, size in sizes.items():
        write_tiff(tmp_path / f"s_{number}.tif", np.zeros((size, 5, 6), np.uint16))
    assert TiffFrames(str(tmp_path / "s_*.tif")).numbers is None


def test_directories_in_a_circle_are_refused(tmp_path):
    path = tmp_path / "s.tif"
    write_tiff(path, np.zeros((3, 5, 6), np.uint16))
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[0].offset, file.pages[2].offset
    data = bytearray(path.read_bytes())
    (n,) = struct.unpack_from("<H", data, last)
    struct.pack_into("<I", data, last + 2 + 12 * n, first)
    path.write_bytes(data)
    with pytest.raises(SourceError, match="circle"):
        TiffFile(path)


@pytest.mark.parametrize("description", ["ImageJ=1.11a\nimages=100\n", '{"shape": [100, 21, 34]}'])
def test_image_that_says_it_is_a_stack_is_refused(tmp_path, description):
    write_tiff(tmp_path / "s.tif", FRAME, description=description)
    with pytest.raises(SourceError, match="says that it holds 100 images, but has a directory for only 1"):
        TiffFile(tmp_path / "s.tif")


@pytest.mark.parametrize("other", [np.zeros((21, 35), np.uint16), np.zeros((21, 34), np.int16)])
def test_frame_unlike_the_first_is_refused_by_name(tiff, other):
    write_tiff(tiff.with_name("scan_2.tif"), other)
    with pytest.raises(SourceError, match=r"scan_2\.tif is 21 x .*, but scan_1\.tif is 21 x 34 uint16"):
        TiffFrames(str(tiff.with_name("scan_*.tif")))


def test_byte_order_may_change_from_file_to_file(tiff):
    write_tiff(tiff.with_name("scan_2.tif"), FRAME, byteorder=">")
    frames = TiffFrames(str(tiff.with_name("scan_*.tif")))
    np.testing.assert_array_equal([frame.pixels for frame in frames.read()], [FRAME, FRAME])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: write_tiff(path, FRAME + 1), "written anew"),
        (lambda path: write_tiff(path, FRAME.astype(np.float32)), "written anew"),
        (lambda path: path.with_name("other.tif").rename(path), "written anew"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "scan_1.tif"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.unlink(), "cannot be opened"),
    ],
)
def test_file_that_changes_between_the_two_looks_is_lost_and_no_other_is(tmp_path, change, words):
    """Whatever has its name now may be of another scan, with the same pixels as far as anyone can see."""
    for number in range(3):
        write_tiff(tmp_path / f"scan_{number}.tif", FRAME)
    frames = TiffFrames(str(tmp_path / "scan_*.tif"))
    write_tiff(tmp_path / "other.tif", FRAME)
    change(tmp_path / "scan_1.tif")
    first, second, third = frames.read()
    assert words in second.reason and not first.reason and not third.reason
    np.testing.assert_array_equal([first.pixels, third.pixels], [FRAME, FRAME])


def test_stack_that_changes_between_the_two_looks_is_lost(tmp_path):
    path = tmp_path / "s.tif"
    write_tiff(path, np.zeros((3, 5, 6), np.uint16))
    frames = TiffFrames(str(path))
    write_tiff(path, np.zeros((2, 5, 6), np.uint16))
    found = list(frames.read())
    assert len(found) == 3 and all("written anew" in frame.reason for frame in found)


# areaDetector's tags


def identity(path: Path, **options: Any) -> tuple[int | None, int | None]:
    with TiffFile(path) as file:
        found = file.identity(file.image(0), **options)
        return found.unique_id, found.timestamp_ns


def test_tags_of_areadetector_are_identity_stamp_and_attributes(tiff):
    stamp_ns = 1_795_218_868_123_456_789
    attributes = {"posx": 1.5, "Count": 12, "Sample": "Au:3", "nothing": "", "big": 2.0**70, "odd": "1_000"}
    write_tiff(tiff, FRAME, unique_id=41, timestamp_ns=stamp_ns, attributes=attributes)
    assert identity(tiff) == (41, stamp_ns)
    seconds, rest = divmod(stamp_ns, 10**9)
    driver = identity(tiff, timestamp_field="dataTimeStamp")
    assert driver[0] == 41 and abs(driver[1] - seconds * 10**9 - rest) < 1000
    with TiffFile(tiff) as file:
        found = file.attributes(file.image(0))
    assert found == attributes
    assert isinstance(found["Count"], int) and isinstance(found["posx"], float)
    np.testing.assert_array_equal(read_one(tiff), FRAME)


@pytest.mark.parametrize("unique_id", [0, 1, 2**31 - 1, -1, -(2**31)])
def test_unique_id_is_a_signed_32_bit_number(tiff, unique_id):
    write_tiff(tiff, FRAME, unique_id=unique_id)
    assert identity(tiff) == (unique_id, None)


def test_tags_of_another_program_mean_nothing(tiff):
    write_tiff(tiff, FRAME, unique_id=7)
    data = tiff.read_bytes().replace(b"EPICS areaDetector", b"Somebody elses prog")
    tiff.write_bytes(data)
    assert identity(tiff) == (None, None)
    with TiffFile(tiff) as file:
        assert file.attributes(file.image(0)) == {}


@pytest.mark.parametrize(
    ("code", "change"), [(65001, {"type": 2}), (65002, {"code": 60_000}), (65003, {"value": 10**9})]
)
def test_damaged_tags_of_areadetector_are_refused(tiff, code, change):
    write_tiff(tiff, FRAME, unique_id=7, timestamp_ns=10**18)
    patched(tiff, code, **change)
    with pytest.raises(SourceError, match="tags 65000 to 65003 are damaged"):
        identity(tiff)


def test_ids_are_known_only_if_every_file_has_one(tiff):
    write_tiff(tiff, FRAME, unique_id=7, timestamp_ns=10**18)
    write_tiff(tiff.with_name("scan_2.tif"), FRAME, unique_id=8)
    frames = TiffFrames(str(tiff.with_name("scan_*.tif")))
    assert frames.unique_id.tolist() == [7, 8] and frames.timestamp_ns is None
    write_tiff(tiff.with_name("scan_3.tif"), FRAME)
    assert TiffFrames(str(tiff.with_name("scan_*.tif"))).unique_id is None


def test_imagecodecs_gives_no_more_bytes_than_are_asked_for():
    """What the bound on memory relies on: none of the decoders grows beyond the size of a strip."""
    data = bytes(100_000)
    for encode, decode in (
        (imagecodecs.lzw_encode, imagecodecs.lzw_decode),
        (imagecodecs.zlib_encode, imagecodecs.zlib_decode),
        (imagecodecs.packbits_encode, imagecodecs.packbits_decode),
        (imagecodecs.zstd_encode, imagecodecs.zstd_decode),
    ):
        with suppress(RuntimeError):
            assert len(decode(encode(data), out=1000)) == 1000

"""What is looked at in a file before HDF5 does, because HDF5 2.0 would crash on it or never come back.

HDF5 follows two kinds of list for ever if a flipped bit closes them to a circle: the free blocks of a group's local
heap (of the older format, which h5py still writes by default; it also takes all memory) and the objects of a global
heap, where texts of variable length lie, as h5py writes `@units`. Neither has a checksum. And the places of a virtual
dataset, which lie in a global heap, too, are taken as they come, beyond the end of memory. Format: HDF5 File Format
Specification 3.0, II.A (superblock), III.D and III.E (heaps), IV.A (object headers and their messages).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_service.errors import SourceError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_USER_BLOCK = 1 << 20
"""HDF5 looks for its signature at 0, 512, 1024 and so on."""
OLD_SUPERBLOCKS = (0, 1)
LAYOUT, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE = 0x08, 0x0C, 0x10, 0x11
"""Messages of an object header."""
VIRTUAL = 3
"""Class of a layout; its place in the message is taken by the number of dimensions in those of HDF5 1.6 and older."""
LAYOUTS_BEFORE_CLASSES = (1, 2)
"""Versions of the layout message that begin with the number of dimensions, and have no virtual datasets."""
VARIABLE_LENGTH = 9
"""Class of a datatype."""
NO_FREE_BLOCK = 1
MOST_HEADER_BLOCKS = 256
MOST_HEADER_BYTES = 1 << 20
MOST_LIST = 1 << 16
"""Entries of a heap's list."""
LONGEST_TEXT = 1 << 20
"""Bytes of one text."""


class ObjectHeaders:
    """Looks at objects by the addresses of their object headers. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDONLY)
        self._base = next((at for at in _signature_places() if os.pread(self._file, 8, at) == SIGNATURE), 0)
        head = self._read(0, 16)
        self._version = head[8] if len(head) == 16 else -1
        sizes_at = 13 if self._version in OLD_SUPERBLOCKS else 9
        self._offset_size, self._length_size = head[sizes_at : sizes_at + 2] if len(head) == 16 else (8, 8)

    def check_root(self) -> None:
        """Raise `SourceError` if the list of the root group's heap has no end."""
        if self._version not in OLD_SUPERBLOCKS:
            return
        # after the fixed fields come four addresses, then the root group's entry: name, header, 8 bytes, B-tree, heap
        entry = 24 + 4 * self._version + 4 * self._offset_size
        self.check_group(self._number(entry + self._offset_size, self._offset_size))
        self._check_local_heap(self._number(entry + 3 * self._offset_size + 8, self._offset_size))

    def check_group(self, header: int) -> None:
        """Raise `SourceError` if the object there is a group whose local heap has a list without an end."""
        for kind, message in self._messages(header):
            if kind == SYMBOL_TABLE:
                self._check_local_heap(_number(message, self._offset_size, self._offset_size))

    def is_virtual(self, header: int) -> bool:
        """Whether the object there is a virtual dataset."""
        return any(kind == LAYOUT and _is_virtual(message) for kind, message in self._messages(header))

    def check_attributes(self, header: int) -> None:
        """Raise `SourceError` if HDF5 attributes of the object there lie in a global heap whose list has no end."""
        for kind, message in self._messages(header):
            if kind == ATTRIBUTE:
                for length, heap in set(self._texts(message)):
                    if length > LONGEST_TEXT:
                        raise SourceError(
                            f"{self._path} is damaged: it claims a text of {length} bytes as an HDF5 attribute"
                        )
                    self._check_global_heap(heap)

    def _messages(self, header: int) -> Iterator[tuple[int, bytes]]:
        """Kind and content of each message of an object header."""
        head = self._read(header, 34)
        if head[:1] == b"\x01" and len(head) >= 16:
            head_size, at, size = 8, header + 16, _number(head, 8, 4)
        elif head[:4] == b"OHDR" and len(head) == 34:
            flags = head[5]
            head_size = 6 if flags & 0x04 else 4
            width = 1 << (flags & 0x03)
            sizes_at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            at, size = header + sizes_at + width, _number(head, sizes_at, width)
        else:
            return
        is_new = head_size < 8
        blocks = [self._read(at, size)]
        for block in blocks:
            at = 0
            while at + head_size <= len(block):
                kind, size = block[at], _number(block, at + (1 if is_new else 2), 2)
                message = block[at + head_size : at + head_size + size]
                if kind == CONTINUATION and len(blocks) < MOST_HEADER_BLOCKS:
                    place = _number(message, 0, self._offset_size)
                    length = _number(message, self._offset_size, self._length_size)
                    # a block of the newer format has a signature before its messages and a checksum behind them
                    blocks.append(self._read(place + 4, length - 8) if is_new else self._read(place, length))
                yield kind, message
                at += head_size + size

    def _texts(self, attribute: bytes) -> Iterator[tuple[int, int]]:
        """Lengths of the texts that an attribute message stands for, and addresses of the global heaps they lie in."""
        if len(attribute) < 9:
            return
        version = attribute[0]
        sizes = [_number(attribute, at, 2) for at in (2, 4, 6)]
        if version == 1:
            sizes = [-(-size // 8) * 8 for size in sizes]
        type_at = (9 if version == 3 else 8) + sizes[0]
        if attribute[type_at : type_at + 1] and attribute[type_at] & 0x0F == VARIABLE_LENGTH:
            data = attribute[type_at + sizes[1] + sizes[2] :]
            step = 4 + self._offset_size + 4  # length, address of the heap, index in it
            for at in range(0, len(data) - step + 1, step):
                yield _number(data, at, 4), _number(data, at + 4, self._offset_size)

    def _check_local_heap(self, heap: int) -> None:
        if self._read(heap, 4) != b"HEAP":
            return
        free = self._number(heap + 8 + self._length_size, self._length_size)
        segment = self._number(heap + 8 + 2 * self._length_size, self._offset_size)
        seen: set[int] = set()
        while free != NO_FREE_BLOCK:
            if free in seen or len(seen) > MOST_LIST:
                raise self._has_no_end(heap)
            seen.add(free)
            free = self._number(segment + free, self._length_size)

    def _check_global_heap(self, heap: int) -> None:
        head_size = 8 + self._length_size
        head = self._read(heap, head_size)
        if head[:4] != b"GCOL":
            return
        heap_size = _number(head, 8, self._length_size)
        collection = self._read(heap, heap_size)
        at = -(-head_size // 8) * 8
        while at + head_size <= len(collection):
            index, size = _number(collection, at, 2), _number(collection, at + 8, self._length_size)
            # the object 0 is the room that is left, with its own head
            length = -(-head_size // 8) * 8 + -(-size // 8) * 8 if index else size
            if length == 0 or length > heap_size - at:
                raise self._has_no_end(heap)
            at += length

    def _has_no_end(self, heap: int) -> SourceError:
        return SourceError(f"{self._path} is damaged: the list in its heap at byte {self._base + heap} has no end")

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._read(at, size), "little")

    def _read(self, at: int, size: int) -> bytes:
        """Bytes at an address of the file; fewer at its end."""
        at += self._base
        return os.pread(self._file, min(size, MOST_HEADER_BYTES), at) if at < 1 << 62 and size > 0 else b""

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_virtual(layout: bytes) -> bool:
    return len(layout) > 1 and layout[0] not in LAYOUTS_BEFORE_CLASSES and layout[1] == VIRTUAL


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _signature_places() -> Iterator[int]:
    yield 0
    at = 512
    while at <= MOST_USER_BLOCK:
        yield at
        at *= 2

"""Senders over ZMQ as the command line asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from iocsim.zmq.address import Address, AddressError
from iocsim.zmq.pixel_encodings import PixelEncoding
from iocsim.zmq.simplon import HeaderDetail
from iocsim.zmq.socket import Keys


@dataclass(frozen=True, slots=True)
class ZmqSettings:
    """What is sent over ZMQ, and where; an address that is None is a sender that is not there."""

    array: Address | None = None
    """Of ZMQ1."""
    old_header: bool = False
    """ZMQ1 writes headers as before ADZMQ 1.4.0."""
    simplon: Address | None = None
    detail: HeaderDetail = "basic"
    encoding: PixelEncoding = "none"
    """Of both streams of the control unit."""
    stream2: Address | None = None
    n_channels: int = 1
    """1 or 2, of Stream2."""
    n_kept: int = 1000
    """Messages that the control unit keeps for who pulls them, in each stream."""
    keys: Keys | None = None

    @classmethod
    def parse(
        cls,
        *,
        array: str,
        old_header: bool,
        simplon: str,
        detail: HeaderDetail,
        encoding: PixelEncoding,
        stream2: str,
        n_channels: int,
        n_kept: int,
        key_file: Path | None,
        server_key_file: Path | None,
    ) -> Self:
        """From the options of the command. Raises AddressError, and ValueError for a queue without room."""
        if server_key_file is not None and key_file is None:
            raise AddressError("--zmq-server-key is for a sender with keys of its own: give --zmq-curve, too")
        if n_kept < 1:
            raise ValueError(f"--dcu-queue {n_kept}: give a number of messages, 1 or more")
        return cls(
            Address.parse(array) if array else None,
            old_header,
            Address.of_push(simplon) if simplon else None,
            detail,
            encoding,
            Address.of_push(stream2) if stream2 else None,
            n_channels,
            n_kept,
            None if key_file is None else Keys.read(key_file, server_key_file),
        )


NO_ZMQ = ZmqSettings()

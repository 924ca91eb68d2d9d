"""Senders over ZMQ as the command line asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iocsim.zmq.address import Address, AddressError
from iocsim.zmq.socket import Keys, SenderSocket


@dataclass(frozen=True, slots=True)
class ZmqSettings:
    """What is sent over ZMQ, and where; an address that is None is a sender that is not there."""

    array: Address | None = None
    """Of ZMQ1."""
    old_header: bool = False
    """ZMQ1 writes headers as before ADZMQ 1.4.0."""
    keys: Keys | None = None

    @classmethod
    def parse(cls, array: str, old_header: bool, key_file: Path | None, server_key_file: Path | None) -> ZmqSettings:
        """From the options of the command; raises AddressError."""
        if server_key_file is not None and key_file is None:
            raise AddressError("--zmq-server-key is for a sender with keys of its own: give --zmq-curve, too")
        keys = None if key_file is None else Keys.read(key_file, server_key_file)
        return cls(Address.parse(array) if array else None, old_header, keys)

    def open(self, address: Address) -> SenderSocket:
        """A socket at one of the addresses, with the keys; raises AddressError."""
        return SenderSocket(address, self.keys)


NO_ZMQ = ZmqSettings()

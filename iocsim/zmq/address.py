"""Addresses of ZMQ senders, in the syntax of NDZMQConfigure: `tcp://host:port [PUB|PUSH] [BIND|CONNECT]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class AddressError(ValueError):
    """An address that no socket can have, or that cannot be had now."""


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a sender, and what it does there."""

    endpoint: str
    kind: Literal["PUB", "PUSH"]
    binds: bool

    @classmethod
    def parse(cls, text: str) -> Address:
        """As NDPluginZMQ reads it: PUB binds, PUSH connects unless it is told otherwise; what has a `*` binds.

        Without PUB or PUSH an address with a `*` is a PUB, any other a PUSH; SUB and PULL are names for the same.
        Raises AddressError.
        """
        endpoint, _, rest = text.strip().partition(" ")
        kind, _, how = rest.strip().partition(" ")
        if kind in ("BIND", "CONNECT"):
            kind, how = "", kind
        has_star = "*" in endpoint
        if not endpoint or kind not in ("", "PUB", "SUB", "PUSH", "PULL"):
            raise AddressError(f"{text!r} is no address: write it as tcp://127.0.0.1:5555 PUB, or PUSH, BIND, CONNECT")
        if kind in ("PUB", "SUB") or (not kind and has_star):
            return cls(endpoint, "PUB", has_star or how != "CONNECT")
        return cls(endpoint, "PUSH", has_star or how == "BIND")

    @classmethod
    def of_push(cls, endpoint: str) -> Address:
        """The address at which a detector control unit waits for those who pull. Raises AddressError."""
        if not endpoint.strip() or " " in endpoint.strip():
            raise AddressError(f"{endpoint!r} is no address: write it as tcp://127.0.0.1:9999")
        return cls(endpoint.strip(), "PUSH", True)

"""Addresses of senders, in the syntax of NDZMQConfigure."""

import pytest

from iocsim.zmq.address import Address, AddressError

HOST = "tcp://127.0.0.1:5555"


@pytest.mark.parametrize(
    ("text", "kind", "binds"),
    [
        (f"{HOST} PUB", "PUB", True),
        (f"{HOST} PUB CONNECT", "PUB", False),
        (f"{HOST} SUB", "PUB", True),
        (f"{HOST} PUSH", "PUSH", False),
        (f"{HOST} PUSH BIND", "PUSH", True),
        (f"{HOST} PULL", "PUSH", False),
        (HOST, "PUSH", False),
        (f"{HOST} BIND", "PUSH", True),
        (f"{HOST} CONNECT", "PUSH", False),
        ("tcp://*:5555", "PUB", True),
        ("tcp://*:5555 PUB CONNECT", "PUB", True),
        ("tcp://*:5555 PUSH", "PUSH", True),
    ],
)
def test_what_is_left_out_is_as_the_real_plugin_chooses(text: str, kind: str, binds: bool):
    address = Address.parse(text)
    assert (address.endpoint, address.kind, address.binds) == (text.split()[0], kind, binds)


@pytest.mark.parametrize("text", ["", f"{HOST} REP", f"{HOST} pub"])
def test_what_is_no_address_is_named(text: str):
    with pytest.raises(AddressError, match="is no address"):
        Address.parse(text)

"""A sender for every test of sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from zmq_sender import Sender, sender


@pytest.fixture
def push() -> Iterator[Sender]:
    with sender() as opened:
        yield opened

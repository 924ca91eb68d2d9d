"""Choices of the operator about recorded frames, by their names on the command line.

Apart from what acts on them, so that `--help` and a wrong option need no numpy.
"""

from __future__ import annotations

from enum import StrEnum


class Translation(StrEnum):
    """The object that moves by the `translation` of a CXI file."""

    SAMPLE = "sample"
    """As the CXI specification has it: the beam on the sample goes the other way."""
    PROBE = "probe"
    """Where the probe is on the sample, as many programs write it."""


class Match(StrEnum):
    """Ways to match the rows of a table with frames."""

    AUTO = "auto"
    UNIQUE_ID = "unique_id"
    NUMBER = "number"
    ORDER = "order"

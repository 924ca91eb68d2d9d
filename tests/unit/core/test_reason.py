"""Words of the reasons why a row is doubted."""

from __future__ import annotations

import pytest

from stream_service.core.reason import GATES, Reason, Side, words

SAID = (
    (Reason.NONE, 0, 0, ""),
    (Reason.INTENSITY, -0.62, 40, "intensity -62 % against its neighbours"),
    (Reason.INTENSITY, 0.013, 3, "intensity +1.3 % against its neighbours"),
    (Reason.CENTRE, 14.2, 40, "centre of mass moved 14 px"),
    (Reason.CENTRE, 3.14, 10, "centre of mass moved 3.1 px"),
    (Reason.PARTIAL, Side.LOWER, 0.5, "lower half empty"),
    (Reason.PARTIAL, Side.LEFT, 0.25, "left 25 % of the frame empty"),
    (Reason.REPEATED, 41, 0, "the same frame as row 41"),
    (Reason.ENERGY, 715, 710, "energy 715 eV, not 710 eV"),
    (Reason.HOT, 40.3, 12, "brightest pixel 40 times that of its neighbours"),
)


@pytest.mark.parametrize(("reason", "first", "second", "said"), SAID)
def test_a_reason_is_said_in_words(reason, first, second, said):
    assert words(reason, first, second) == said


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason):
    assert bool(words(reason, 1.0, 1.0)) == (reason is not Reason.NONE)


def test_each_gate_has_a_bit_of_its_own():
    assert len(GATES) == 7
    assert max(GATES) < 32

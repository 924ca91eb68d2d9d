"""Hardware-captured arrays of a run that went on after a kill, against the rows of before: are they the same ones?

What an array told the earlier service is in its rows. An array that contradicts these is another one: the next capture
has filled it meanwhile, or it was emptied and goes on. What rows were told stands (ADR 0029), and nothing of the other
one is used. Where it agrees with rows up to some frame, and then not, it is rather the places of frames that have
changed, and nothing from there on is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Set


def contradicted_rows(agrees: Mapping[int, bool], first_ordinals: Mapping[int, int], from_before: Set[int]) -> set[int]:
    """Rows not to be trusted, of those that an array has entries for: whether it `agrees`, by row.

    `first_ordinals` are the places of their first frames; rows `from_before` were written by an earlier service.
    """
    contradicted = {first_ordinals[row] for row in from_before if not agrees.get(row, True)}
    if not contradicted:
        return set()
    begins = min(contradicted)
    shared = [first_ordinals[row] for row in from_before if agrees.get(row) and first_ordinals[row] < begins]
    last_shared = max(shared, default=-1)
    made_of_it = {row for row in agrees if row not in from_before and first_ordinals[row] > last_shared}
    return made_of_it | {row for row in agrees if shared and row in from_before and first_ordinals[row] >= begins}

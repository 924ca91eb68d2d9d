"""The message of a run at its end, in one sentence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.account import Account
from stream_service.core.frame import FrameId
from stream_service.core.frame_status import FrameStatus
from stream_service.core.ledger import Ledger
from stream_service.run.verdict import MOST_IDS_NAMED, describe_account, describe_ids


def ids(*unique_ids: int, epoch: int = 0) -> list[tuple[FrameId, FrameId]]:
    """As the ledger gives them when exactly these are lost."""
    first, ledger = min(unique_ids, default=1), Ledger(min(unique_ids, default=1), None)
    for unique_id in set(range(first, max(unique_ids, default=0) + 1)) - set(unique_ids):
        ledger.mark([ledger.receive(unique_id, unique_id).ordinal], FrameStatus.STORED)
    ledger.close(max(unique_ids, default=0) - first + 1)
    return [
        (FrameId(epoch, one), FrameId(epoch, other)) for (_, one), (_, other) in ledger.ranges_with(FrameStatus.LOST)
    ]


def test_good_run_needs_few_words():
    assert describe_account(Account(6, 6, 0, 0, 0, 0, 0, 0), [], 6) == "6 of 6 frames stored in 6 rows"


def test_everything_that_went_wrong_is_said():
    account = Account(20, 9, 1, 3, 2, 5, duplicates=4, unexpected=8, before_run=7, implausible=2)
    assert describe_account(account, ids(3, 4, 5, 9), 5) == (
        "10 of 20 frames stored in 5 rows, 1 of them fetched from the raw file, "
        "3 lost, 2 in groups that never filled, 5 never exposed, "
        "4 duplicates ignored, 6 beyond the number expected, ignored, 2 with an implausible id, ignored, "
        "7 from before the run, ignored "
        "(missing ids: 3-5, 9)"
    )


def test_one_of_each_is_said_as_one():
    account = Account(3, 3, 0, 0, 0, 0, duplicates=2, unexpected=0, undecided=1)
    assert describe_account(account, [], 3) == (
        "3 of 3 frames stored in 3 rows, 1 duplicate ignored, 1 ignored with the id and the time of another: the "
        "detector's clock stands, so whether it is a copy, or a new frame of a counter that was reset, cannot be told"
    )


def test_ids_are_named_as_ranges():
    assert describe_ids(ids(1, 7, 8, 9, 100)) == "1, 7-9, 100"
    assert describe_ids([]) == ""


def test_later_epochs_are_told_apart():
    assert describe_ids(ids(1, 2) + ids(3, 4, epoch=1)) == "1-2, 1:3-4"


def test_long_list_is_cut():
    text = describe_ids(ids(*range(0, 1000, 2)))
    assert text.endswith(f", and {500 - MOST_IDS_NAMED} more ranges")
    assert len(text) < 200


@given(st.sets(st.integers(0, 200)))
def test_ranges_name_exactly_the_ids(missing):
    named = set()
    text = describe_ids(ids(*sorted(missing)))
    for part in text.split(", ") if text else []:
        if not part.startswith("and "):
            first, _, last = part.partition("-")
            named |= set(range(int(first), int(last or first) + 1))
    assert named <= missing
    if "more range" not in text:
        assert named == missing

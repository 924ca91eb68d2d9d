"""The account of a run adds up whatever is sent, and names exactly what a lossy detector lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from stream_service.core.account import Account
from stream_service.core.frame import Frame, FrameId
from stream_service.core.frame_status import FrameStatus
from stream_service.core.intake import Intake
from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival

INT32 = st.integers(-(2**31), 2**31 - 1)
ids = st.integers(0, 40) | st.integers(995, 1030) | st.sampled_from([2**31 - 1, -(2**31), -1, 2**23, 2**30]) | INT32
stamps = st.integers(0, 60) | st.sampled_from([-(2**62), 2**62, 0])
statuses_of_received = st.sampled_from([FrameStatus.STORED, FrameStatus.BACKFILLED, FrameStatus.INCOMPLETE, None])


def recounted(ledger: Ledger) -> dict[str, int]:
    """The numbers of the account by the frames one by one."""
    _, _, statuses, _ = ledger.columns()
    return {status.name.lower(): int(np.count_nonzero(statuses == status)) for status in FrameStatus}


def running(account: Account) -> dict[str, int]:
    return {status.name.lower(): getattr(account, status.name.lower()) for status in FrameStatus}


def adds_up(account: Account) -> bool:
    statuses = account.stored + account.backfilled + account.lost + account.incomplete + account.not_exposed
    return statuses + account.pending == account.expected


def lost_ids(ledger: Ledger) -> list[FrameId]:
    ranges = ledger.ranges_with(FrameStatus.LOST)
    return [
        FrameId(first.epoch, unique_id)
        for first, last in ranges
        for unique_id in range(first.unique_id, last.unique_id + 1)
    ]


@given(
    st.sampled_from([0, 1, 1000, 2**31]),
    st.none() | st.integers(1, 30),
    st.integers(0, 5),
    st.sampled_from([0, 1]),
    st.none() | st.tuples(ids, stamps),
    st.lists(st.tuples(ids, stamps, statuses_of_received), max_size=40),
    st.none() | st.integers(-10, 100),
)
def test_counts_add_up_whatever_comes(first, n_expected, n_extra, restart_id, last_before, messages, n_exposed):
    ledger = Ledger(first, n_expected, n_extra=n_extra, restart_unique_id=restart_id, last_before=last_before)
    new: dict[int, FrameId] = {}
    for unique_id, timestamp_ns, status in messages:
        receipt = ledger.receive(unique_id, timestamp_ns)
        if receipt.arrival is Arrival.NEW:
            assert receipt.ordinal not in new
            new[receipt.ordinal] = receipt.id
            if status is not None:
                ledger.mark([receipt.ordinal], status)
        assert adds_up(ledger.account())
        assert running(ledger.account()) == recounted(ledger)
    assert ledger.n_received == len(new)
    ignored = ledger.account().duplicates + ledger.account().unexpected + ledger.account().before_run
    assert len(new) + ignored == len(messages)
    account = ledger.close(n_exposed)
    assert account.pending == 0
    assert adds_up(account)
    assert running(account) == recounted(ledger)
    assert ledger.close() == account
    assert account.unexpected >= account.implausible
    epochs, unique_ids, statuses, n_received = ledger.columns()
    assert len(epochs) == len(unique_ids) == len(statuses) == len(n_received) == account.expected
    for ordinal, frame_id in new.items():
        assert (epochs[ordinal], unique_ids[ordinal]) == frame_id
        assert n_received[ordinal] >= 1
    if n_expected is not None:
        assert n_expected <= account.expected <= n_expected + n_extra


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 19), max_size=6), st.sampled_from(list(FrameStatus))), max_size=20),
    st.integers(1, 40),
)
def test_running_counts_are_those_of_a_recount(marks, n_planned):
    """Frames are marked again and again, some twice at once; the number planned is known only at the end."""
    ledger = Ledger(1, None)
    for n in range(20):
        ledger.receive(1 + n, 1000 + n)
    for ordinals, status in marks:
        ledger.mark(ordinals, status)
        assert running(ledger.account()) == recounted(ledger)
    for _ in range(2):
        ledger.close()
        assert running(ledger.account()) == recounted(ledger)
        ledger.expect(n_planned)
        assert running(ledger.account()) == recounted(ledger)


@dataclass(frozen=True)
class Exposed:
    """A frame the detector truly made."""

    id: FrameId
    timestamp_ns: int
    ordinal: int


@dataclass(frozen=True)
class Delivery:
    """Frames that a detector made, and those that arrived, in this order; a frame may come more than once."""

    first_id: int
    restart_id: int
    made: list[Exposed]
    arrived: list[Exposed]


@st.composite
def deliveries(draw: st.DrawFn, n_epochs: st.SearchStrategy[int]) -> Delivery:
    """Counting goes on from `first_id` and restarts now and then; frames are lost, come twice, overtake each other."""
    first_id, restart_id = draw(st.sampled_from([0, 1, 57])), draw(st.sampled_from([0, 1]))
    made: list[Exposed] = []
    arrived: list[Exposed] = []
    for epoch in range(draw(n_epochs)):
        begin = restart_id if epoch else first_id
        length = draw(st.integers(1, 12))
        frames = [Exposed(FrameId(epoch, begin + n), 1000 + len(made) + n, len(made) + n) for n in range(length)]
        made += frames
        kept = [frame for frame in frames if draw(st.integers(0, 3))]
        repeated = [frame for frame in kept if not draw(st.integers(0, 5))]
        late = draw(st.permutations(range(len(kept) + len(repeated))))
        mixed = kept + repeated
        arrived += [mixed[n] for n in sorted(range(len(mixed)), key=lambda n: (n + 3 * (late[n] % 2), n))]
    return Delivery(first_id, restart_id, made, arrived)


@given(deliveries(st.just(1)), st.integers(0, 10))
def test_ledger_names_exactly_the_frames_that_did_not_come(delivery, n_never_made):
    """Head and tail loss, gaps, duplicates and overtaking, with the detector's counter to say how many were made."""
    n_made = len(delivery.made)
    ledger = Ledger(delivery.first_id, n_made + n_never_made)
    for frame in delivery.arrived:
        receipt = ledger.receive(frame.id.unique_id, frame.timestamp_ns)
        if receipt.arrival is Arrival.NEW:
            assert (receipt.id, receipt.ordinal) == (frame.id, frame.ordinal)
            ledger.mark([receipt.ordinal], FrameStatus.STORED)
        else:
            assert receipt.arrival is Arrival.DUPLICATE
    account = ledger.close(ledger.exposed_by_counter(delivery.made[-1].id.unique_id))
    came = set(delivery.arrived)
    assert lost_ids(ledger) == [frame.id for frame in delivery.made if frame not in came]
    assert account.stored == len(came)
    assert account.duplicates == len(delivery.arrived) - len(came)
    assert account.not_exposed == n_never_made
    assert account.unexpected == account.before_run == 0


@given(deliveries(st.integers(2, 4)))
def test_frames_of_a_restarted_counter_are_new_frames_with_an_epoch_of_their_own(delivery):
    """As far as it can be told: the first frame of each counting that comes must not continue the one before."""
    newest = FrameId(0, delivery.first_id - 1)
    newest_ns = 0
    for frame in delivery.arrived:
        assume(frame.id.epoch - newest.epoch <= 1)
        if frame.id.epoch > newest.epoch:
            assume(frame.id.unique_id <= newest.unique_id)
        if frame.timestamp_ns > newest_ns:
            newest, newest_ns = frame.id, frame.timestamp_ns
    assume(delivery.arrived and delivery.arrived[0].id.epoch == 0)
    ledger = Ledger(delivery.first_id, None, restart_unique_id=delivery.restart_id)
    stored = []
    for frame in delivery.arrived:
        receipt = ledger.receive(frame.id.unique_id, frame.timestamp_ns)
        assert receipt.id == frame.id
        if receipt.arrival is Arrival.NEW:
            stored.append(frame)
            ledger.mark([receipt.ordinal], FrameStatus.STORED)
        else:
            assert receipt.arrival is Arrival.DUPLICATE
    assert sorted(stored, key=lambda frame: frame.id) == sorted(set(delivery.arrived), key=lambda frame: frame.id)
    account = ledger.close()
    assert adds_up(account)
    assert account.stored == len(stored)
    missing = {frame.id for frame in delivery.made} - {frame.id for frame in stored}
    assert set(lost_ids(ledger)) <= missing


@given(st.lists(st.integers(-(2**31), -1) | st.integers(2**23, 2**31 - 1), max_size=10), st.sampled_from([None, 20]))
def test_later_good_frames_are_stored_after_ids_that_cannot_be(hostile, n_expected):
    """Three good frames, bad ones that do not look like a plausible count, then the next good ones."""
    ledger = Ledger(1, n_expected)
    for n in (1, 2, 3):
        assert ledger.receive(n, 10 * n).arrival is Arrival.NEW
    for n, unique_id in enumerate(hostile):
        assert ledger.receive(unique_id, 31 + n).arrival is Arrival.UNEXPECTED
    for n in (4, 5, 6):
        assert ledger.receive(n, 100 + n).ordinal == n - 1
    assert np.all(ledger.columns()[0] == 0)


@st.composite
def spoilt_counts(draw: st.DrawFn) -> tuple[int, list[tuple[int, bool]]]:
    """The first id, and ids as they came: frames are lost anywhere, and now and then one carries a wrong id (False).

    Two that follow one another stand before a wrong one: right beside a gap, nobody can tell which id is the wrong one.
    """
    first = draw(st.sampled_from([0, 1, 57, 2**30]))
    came: list[tuple[int, bool]] = []
    n_right = 0
    for unique_id in range(first, first + draw(st.integers(4, 30))):
        what = draw(st.sampled_from(["came", "came", "came", "lost", "spoilt"]))
        if what == "spoilt" and n_right >= 2:
            came.append((draw(INT32 | st.integers(first - 3, first + 60)), False))
            n_right = 0
        elif what == "lost":
            n_right = 0
        else:
            came.append((unique_id, True))
            n_right += 1
    return first, came


@given(spoilt_counts(), st.sampled_from([None, 40]), st.integers(0, 1), st.sampled_from([0, 7]))
def test_wrong_ids_move_no_right_frame_and_none_goes_missing(spoilt, n_expected, restart_id, step_ns):
    first, came = spoilt
    assume(came and came[-1][1])
    last_id = max(unique_id for unique_id, is_right in came if is_right)
    ledger = Ledger(first, n_expected, restart_unique_id=restart_id)
    intake = Intake(ledger)
    ordinals: dict[int, int] = {}
    pixels = np.zeros((1, 1), np.uint16)
    entered = []
    for n, (unique_id, is_right) in enumerate(came):
        entered += intake.admit(Frame(unique_id, 1000 + n * step_ns, pixels, {"n": n, "is_right": is_right}))
    entered += intake.decide(last_id, is_last=True)
    assert sorted(int(str(frame.attributes["n"])) for frame, _ in entered) == list(range(len(came)))
    for frame, receipt in entered:
        if frame.attributes["is_right"] and step_ns:
            assert (receipt.arrival, receipt.ordinal) == (Arrival.NEW, frame.unique_id - first)
        if receipt.arrival is Arrival.NEW:
            assert ordinals.setdefault(receipt.ordinal, frame.unique_id) == frame.unique_id
            ledger.mark([receipt.ordinal], FrameStatus.STORED)
    account = ledger.close(ledger.exposed_by_counter(last_id))
    assert adds_up(account)
    assert ledger.n_received + account.unexpected + account.duplicates + account.before_run == len(came)
    if n_expected is None and step_ns:
        assert account.expected == last_id - first + 1, "no wrong id makes the run longer or shorter"


@given(
    st.sampled_from([0, 1, 1000, 2**31 - 3]),
    st.none() | st.integers(1, 30),
    st.sampled_from([0, 1]),
    st.none() | st.tuples(ids, stamps),
    st.lists(st.tuples(ids, stamps), max_size=40),
    st.none() | ids,
)
def test_every_frame_comes_out_of_the_intake_once_whatever_comes(
    first, n_expected, restart_id, before, messages, counter
):
    ledger = Ledger(first, n_expected, restart_unique_id=restart_id, last_before=before)
    intake = Intake(ledger)
    pixels = np.zeros((1, 1), np.uint16)
    entered = []
    for n, (unique_id, timestamp_ns) in enumerate(messages):
        entered += intake.admit(Frame(unique_id, timestamp_ns, pixels, {"n": n}))
        if n % 5 == 0:
            entered += intake.decide(counter)
    entered += intake.decide(counter, is_last=True)
    assert sorted(int(str(frame.attributes["n"])) for frame, _ in entered) == list(range(len(messages)))
    new = [receipt.ordinal for _, receipt in entered if receipt.arrival is Arrival.NEW]
    assert len(set(new)) == len(new) == ledger.n_received
    account = ledger.account()
    assert len(new) + account.duplicates + account.unexpected + account.before_run == len(messages)
    assert adds_up(ledger.close())

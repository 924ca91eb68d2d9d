"""Series are epochs that only grow, however often, by how many endpoints and to how many runs they are announced."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_service.sources.live.zmq.dectris_series import DectrisSeries, SeriesHeader

numbers = st.lists(st.integers(0, 5) | st.integers(0, 2**31 - 2), min_size=1, max_size=40)
"""Of series as they were armed; a control unit that restarts may use one again."""


@given(numbers)
def test_epochs_only_grow_and_are_the_numbers_where_these_do(numbers):
    series = DectrisSeries()
    last_epoch = 0
    for arming, number in enumerate(numbers):
        epoch_before = series.begin().epoch
        epoch = series.announced(number, f"arming {arming}", SeriesHeader(), arming).epoch
        assert epoch >= epoch_before > last_epoch
        assert epoch == (number if number > last_epoch else last_epoch + 1)
        last_epoch = epoch


@given(numbers, st.data())
def test_what_comes_again_or_late_is_of_the_series_it_was(numbers, data):
    series = DectrisSeries()
    given_epochs: dict[tuple[int, str], int] = {}
    for arming, number in enumerate(numbers):
        key = (number, f"arming {arming}")
        comes_first = data.draw(st.sampled_from(["start", "image", "end"]))
        if comes_first == "end":
            assert series.ended(*key, arming) is None
        elif comes_first == "image":
            given_epochs[key] = series.of_image(*key, arming).epoch
        given_epochs.setdefault(key, series.announced(*key, SeriesHeader(), arming).epoch)
        old = data.draw(st.sampled_from(sorted(given_epochs)))
        again = data.draw(st.sampled_from([series.of_image, series.ended]))(*old, arming)
        assert again is not None and again.epoch == given_epochs[old]
        assert series.announced(*old, SeriesHeader(), arming).epoch == given_epochs[old]
    assert len(set(given_epochs.values())) == len(given_epochs)


@given(numbers.filter(lambda numbers: len(set(numbers)) == len(numbers)))
def test_without_identities_numbers_alone_tell_series_apart(numbers):
    series = DectrisSeries()
    epochs = [series.announced(number, None, SeriesHeader(), None).epoch for number in numbers]
    assert epochs == sorted(set(epochs))
    assert [series.of_image(number, None, None).epoch for number in numbers] == epochs
    assert [series.announced(number, None, SeriesHeader(), None).epoch for number in numbers] == epochs


KINDS = ("announced", "image", "ended")


@given(st.sets(st.integers(1, 99), min_size=1, max_size=20), st.booleans(), st.data())
def test_runs_that_read_the_same_messages_in_their_own_time_get_the_same_epochs(numbers, has_identities, data):
    messages = [(number, kind) for number in sorted(numbers) for kind in KINDS]
    first = data.draw(st.integers(0, len(messages)))
    n_read = {"draining": 0, "armed": first}
    is_armed_next = data.draw(st.permutations([False] * len(messages) + [True] * (len(messages) - first)))
    series = DectrisSeries()
    for is_armed in is_armed_next:
        run = "armed" if is_armed else "draining"
        at_s = n_read[run]
        number, kind = messages[at_s]
        n_read[run] += 1
        identity = f"series {number}" if has_identities else None
        if kind == "announced":
            known = series.announced(number, identity, SeriesHeader(), at_s)
        else:
            known = (series.of_image if kind == "image" else series.ended)(number, identity, at_s)
        if known is None:
            assert is_armed and kind == "ended", "the other run has not read its header yet"
        else:
            assert known.epoch == number

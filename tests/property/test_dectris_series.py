"""Series are epochs that only grow, however often and by how many endpoints they are announced."""

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
        epoch = series.announced(number, f"arming {arming}", SeriesHeader()).epoch
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
            assert series.ended(*key) is None
        elif comes_first == "image":
            given_epochs[key] = series.of_image(*key).epoch
        given_epochs.setdefault(key, series.announced(*key, SeriesHeader()).epoch)
        old = data.draw(st.sampled_from(sorted(given_epochs)))
        again = data.draw(st.sampled_from([series.of_image, series.ended]))(*old)
        assert again is not None and again.epoch == given_epochs[old]
        assert series.announced(*old, SeriesHeader()).epoch == given_epochs[old]
    assert len(set(given_epochs.values())) == len(given_epochs)


@given(numbers.filter(lambda numbers: len(set(numbers)) == len(numbers)))
def test_without_identities_numbers_alone_tell_series_apart(numbers):
    series = DectrisSeries()
    epochs = [series.announced(number, None, SeriesHeader()).epoch for number in numbers]
    assert epochs == sorted(set(epochs))
    assert [series.of_image(number).epoch for number in numbers] == epochs
    assert [series.announced(number, None, SeriesHeader()).epoch for number in numbers] == epochs

"""Whatever a detector loses, repeats or delays, each row of the file is right and its ledger names the rest."""

from __future__ import annotations

from collections.abc import Iterator

import corpus
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_run import Bench, Step, frame

from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import RunState


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[list[int]]]:
    """Frames made, ids from 1; and how they arrive: in batches; some lost, twice, overtaken, or spoilt (0)."""
    n_made = draw(st.integers(1, 24))
    arriving: list[int] = []
    for unique_id in range(1, n_made + 1):
        arriving += draw(st.sampled_from([[unique_id]] * 6 + [[], [unique_id] * 2, [0], [0, unique_id]]))
    for n in range(0, len(arriving) - 1, 5):
        if draw(st.booleans()):
            arriving[n], arriving[n + 1] = arriving[n + 1], arriving[n]
    cuts = sorted(draw(st.sets(st.integers(0, len(arriving)))))
    return n_made, [arriving[a:b] for a, b in zip([0, *cuts], [*cuts, len(arriving)], strict=True)]


@pytest.mark.parametrize("frames_per_position", [1, 2, 3])
@settings(max_examples=max(12, settings.default.max_examples // 10))  # each is a file
@given(delivery=deliveries(), n_never_made=st.integers(0, 3))
def test_rows_are_right_and_the_ledger_names_the_rest(tmp_path_factory, frames_per_position, delivery, n_never_made):
    n_made, batches = delivery
    n_positions = -(-(n_made + n_never_made) // frames_per_position)
    n_planned = n_positions * frames_per_position
    b = Bench(tmp_path_factory.mktemp("run"), n_positions=n_positions, frames_per_position=frames_per_position)
    spoilt = corpus.single(corpus.BAD["truncated"], unique_id=1)

    def arriving() -> Iterator[Step]:
        for batch in batches:
            yield [frame(unique_id) if unique_id else spoilt for unique_id in batch]
            yield b.waits(0.02)

    run = b.play(arriving(), b.exposed(n_made), b.stop)
    came = {unique_id for batch in batches for unique_id in batch if unique_id}
    groups = [
        range(first, first + frames_per_position)
        for first in range(1, n_planned + 1, frames_per_position)
        if came >= set(range(first, first + frames_per_position))
    ]
    stored = {unique_id for group in groups for unique_id in group}
    expected = {
        unique_id: FrameStatus.STORED if unique_id in stored
        else FrameStatus.INCOMPLETE if unique_id in came
        else FrameStatus.LOST if unique_id <= n_made
        else FrameStatus.NOT_EXPOSED
        for unique_id in range(1, n_planned + 1)
    }  # fmt: skip
    assert run.state is (RunState.COMPLETE if len(stored) == n_planned else RunState.INCOMPLETE)
    if not came:
        assert not run.setup.path.exists()
        return
    assert b.statuses() == expected
    with b.file() as file:
        assert sorted(file["/entry/frames/unique_id"][:].tolist()) == [list(group) for group in groups]
        for ids, data, pos in zip(
            file["/entry/frames/unique_id"], file["/entry/data"], file["/entry/pos"], strict=True
        ):
            np.testing.assert_array_equal(data, sum(ids))
            np.testing.assert_allclose(pos, [-3e-6, 4e-6])

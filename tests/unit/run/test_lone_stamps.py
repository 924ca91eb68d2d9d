"""One frame with a wrong stamp costs no other frame, in a recording whose log goes on to where it is stamped."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from stream_service.core.clock import DEFAULT_LIMIT_S, FrameClock, lone_stamps
from stream_service.core.exposure import Flag
from stream_service.core.frame import Frame, FrameId, FrameTime
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.readback import Readback
from stream_service.core.pairing.rule import ChannelRule, How
from stream_service.run.recorded.ingest import ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.replay import replay
from stream_service.sources.recording import Facts
from stream_service.sources.tables.recorded_readbacks import RecordedHistory, RecordedReadbacks
from stream_service.testing.memory_recording import START_NS, MemoryRecording, frames_of

N = 30
PERIOD_NS = 100_000_000
HOUR_NS = 3600 * 10**9
AFAR_NS = np.arange(10**10, HOUR_NS + 10**10, 5 * 10**9)
LOG_NS = START_NS + np.concatenate((-AFAR_NS[::-1], np.arange(-(10**10) + 1, 10**10, 50_000_000), AFAR_NS))
"""Often while there are frames, now and then as far as a wrong stamp may be."""
X_UM = (LOG_NS - START_NS) / PERIOD_NS
"""A step of 1 um a frame."""


def recorded(wrong: dict[int, int]) -> MemoryRecording:
    stamps_ns = [START_NS + i * PERIOD_NS + wrong.get(i, 0) for i in range(N)]
    facts = Facts(700.0, 0.1, 1e-5, 0.0)
    return MemoryRecording(frames_of(N), [{}] * N, stamps_ns=stamps_ns, rules=(), is_on_sample=False, facts=facts)


def settings() -> IngestSettings:
    y = RecordedHistory(LOG_NS, np.zeros(len(LOG_NS)), "um", is_sampled=True)
    x = RecordedHistory(LOG_NS, X_UM, "um", is_sampled=True)
    return IngestSettings(readbacks=RecordedReadbacks(Path("log.csv"), {"x": x, "y": y}))


@pytest.mark.parametrize("by", ["ingest", "replay"])
@pytest.mark.parametrize("ahead_ns", [HOUR_NS, -HOUR_NS, 60 * 10**9])
@pytest.mark.parametrize("place", [0, 1, 12, N - 2])
def test_frame_stamped_far_away_costs_no_other_frame(tmp_path: Path, by: str, ahead_ns: int, place: int) -> None:
    if place == 0 and ahead_ns < 0:
        pytest.skip("a pause after the first frame looks the same, and harms nothing")
    recording, output = recorded({place: ahead_ns}), tmp_path / "scan_std.h5"
    if by == "ingest":
        ingest(recording, output, settings())
    else:
        replay(recording, tmp_path, settings(), rate_hz=1000)
    with h5py.File(output) as file:
        flags, x_um = file["/entry/frames/flags"][()], file["/entry/posx_m"][()] * 1e6
    others = np.arange(N) != place
    assert flags[place] == Flag.NO_TIME and not flags[others].any()
    np.testing.assert_allclose(x_um[others], np.arange(N)[others], atol=1e-6)


def test_pause_of_a_scan_is_no_wrong_stamp() -> None:
    stamps_ns = START_NS + np.cumsum([0, 1, 1, 3600, 1, 1, 7200, 1], dtype=np.int64) * 10**9
    assert not lone_stamps(stamps_ns).size
    assert lone_stamps(stamps_ns + np.array([0, 0, 4000, 0, 0, 0, 0, 0]) * 10**9).tolist() == []  # within the pause


def test_clock_that_was_set_back_is_no_lone_stamp() -> None:
    stamps_ns = START_NS + np.array([0, 1, 2, -3597, -3596, -3595], np.int64) * 10**9
    assert not lone_stamps(stamps_ns).size


def test_frame_clock_goes_on_after_one_stamp_far_behind() -> None:
    """Without receipts, as in a recording, or where frames had to wait for room."""
    clock, limit = FrameClock(round(DEFAULT_LIMIT_S * 1e9)), 10**9
    assert [clock.admit(at * limit) for at in (5000, 5001, 1400, 5002, 5003)] == [True, True, False, True, True]
    assert [clock.admit(at * limit) for at in (1400, 1401, 5004)] == [False, False, False]  # it was set back


def test_first_frame_is_not_alone_if_others_that_waited_go_on_from_it() -> None:
    """The clock is set back by 5 s after frames of which only the first came promptly."""
    clock, period_ns, back_ns = FrameClock(round(DEFAULT_LIMIT_S * 1e9)), 30_000_000, 5 * 10**9
    frames = [(n * period_ns, n > 0, True) for n in range(10)]
    frames += [(n * period_ns - back_ns, False, False) for n in range(13, 24)]
    for number, (stamp_ns, has_waited, is_time) in enumerate(frames):
        received_ns = stamp_ns + period_ns + (0 if is_time else back_ns) + (10**9 if has_waited else 0)
        assert clock.admit(stamp_ns, received_ns, has_waited=has_waited) is is_time, number


def test_frame_without_a_time_takes_no_history_from_frames_that_came_late() -> None:
    """Frames half a minute behind their readbacks, one of them with the stamp of an hour later and one of long ago."""
    rule, second = ChannelRule("x", How.TIMESTAMP), 10**9
    pairer = Pairer([rule])
    for n in range(600):
        pairer.add_readback(Readback("x", n / 10, START_NS + n * second // 10))
    flags = []
    for n, at_s in enumerate((20, 20.1, 3600, 20.2, 20.3, 20.4, -3600, 20.5, 20.6)):
        end_ns = START_NS + round(at_s * second)
        received_ns = START_NS + 60 * second + n * second // 10 if n not in (0, 1) else None
        frame = Frame(n, end_ns, np.zeros((1, 1), np.uint16), {})
        pairer.add_frame(frame, FrameId(0, n), n, 0.0, FrameTime().window(end_ns, 0.0), received_ns, is_stamped=n != 2)
        flags += [exposure.flags for exposure in pairer.take()]
    assert flags == [Flag.NONE] * 2 + [Flag.NO_TIME] + [Flag.NONE] * 3 + [Flag.NO_TIME] + [Flag.NONE] * 2

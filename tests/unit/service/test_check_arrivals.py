"""`check` says what arrives: how many frames, which ids, which series, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import dectris_messages as dectris
import numpy as np
import pytest
import zmq
from limits import HANG_S
from scripted_run import profile_for
from zmq_sender import sender

from stream_service.core.frame import NO_STAMP, Frame
from stream_service.core.stream import Series, SeriesEnd
from stream_service.errors import SourceError
from stream_service.run.live.check_attributes import check_attributes, check_attributes_of_series
from stream_service.run.live.check_clocks import check_stamp
from stream_service.run.live.check_finding import Finding
from stream_service.run.live.frame_transport import frame_transport
from stream_service.service import check_arrivals
from stream_service.service.check_arrivals import LATE_S, Arrivals, arrival_findings, listen
from stream_service.service.check_stream import check_newest
from stream_service.settings.profile import Profile
from stream_service.testing.manual_clock import ManualClock
from stream_service.testing.scripted_beamline import ScriptedDetector
from stream_service.testing.scripted_frames import ScriptedFrames

STAMP_NS = 1_795_942_800 * 10**9


def frame(n: int, epoch: int | None = None, stamp_ns: int = STAMP_NS) -> Frame:
    return Frame(n, stamp_ns, np.zeros((4, 5), np.uint16), {}, epoch=epoch)


class Bench:
    """Frames that a script sends beside a detector, on its clock; every step of it takes 0.1 s."""

    def __init__(self, *, is_acquiring: bool = True) -> None:
        self.clock = ManualClock()
        self.detector = ScriptedDetector()
        self.detector.is_acquiring = is_acquiring
        self.frames = ScriptedFrames(self.clock)

    def counts(self, n: int) -> Callable[[], None]:
        def count() -> None:
            self.detector.shown = (self.detector.shown or 0) + n

        return count

    def passes(self, seconds: float) -> Callable[[], None]:
        def passing() -> None:
            self.clock.now_s += seconds

        return passing

    def listen(self, *messages: Any, listen_s: float | None = None) -> Arrivals:
        def script() -> Iterable[Any]:
            for message in messages:
                yield self.passes(0.1)
                yield message if callable(message) else [message]

        self.frames.script = script()
        return listen(self.frames, self.detector, listen_s, self.clock)

    def findings(self, *messages: Any, pulls: bool = False, listen_s: float | None = None) -> list[Finding]:
        arrivals = self.listen(*messages, listen_s=listen_s)
        return list(arrival_findings(arrivals, self.frames, pulls=pulls))


def text_of(findings: list[Finding], level: str, about: str) -> str:
    return " | ".join(finding.text for finding in findings if (finding.level, finding.about) == (level, about))


def test_frames_are_counted_and_their_rate_is_told() -> None:
    found = Bench().findings(*map(frame, range(7, 18)))
    assert text_of(found, "ok", "frames") == "11 frames came over script (SIM:Image) in 3.0 s: 10 frames/s, 0.0004 MB/s"
    assert text_of(found, "ok", "ids") == "7 to 17, none missing"


def test_what_a_sender_had_kept_says_nothing_of_the_rate() -> None:
    b = Bench()
    b.frames.script = iter([[*map(frame, range(500))], b.passes(1.0), [frame(500)], b.passes(1.0), [frame(501)]])
    arrivals = listen(b.frames, b.detector, None, b.clock)
    assert (arrivals.n_frames, arrivals.rate) == (502, ": 1 frames/s, 4e-05 MB/s")


@pytest.mark.parametrize(("period_s", "tells"), [(0.1, True), (0.3, False)])
def test_arrival_of_frames_that_a_sender_had_kept_tells_nothing_of_its_clock(period_s: float, tells: bool) -> None:
    """They come faster than they were taken."""
    stamps_ns = [STAMP_NS + round(n * period_s * 1e9) for n in range(20)]
    arrivals = Bench().listen(*(frame(n, stamp_ns=stamp_ns) for n, stamp_ns in enumerate(stamps_ns)))
    assert arrivals.latest is not None
    arrivals.latest = replace(arrivals.latest, received_s=7.0)
    assert arrivals.latest_came_s == (7.0 if tells else None)


def test_holes_repeats_and_steps_back_are_told() -> None:
    found = Bench().findings(*map(frame, (1, 2, 5, 4, 4, 9)))
    assert text_of(found, "warning", "ids") == (
        "1 to 9, 4 of them did not come, 1 came again, 1 was smaller than the one before it: they were lost on the "
        "way, or not sent; frames are out of order, or the counter was reset"
    )
    holes = Bench().findings(*map(frame, (1, 3, 5)), pulls=True)
    assert "somebody else pulls from it" in text_of(holes, "warning", "ids")


def test_series_are_told_with_their_length_and_their_ids() -> None:
    found = Bench().findings(Series(4, 2), frame(1, 4), frame(2, 4), SeriesEnd(4), Series(5), frame(1, 5))
    assert text_of(found, "ok", "series") == "series 4 of 2 frames, series 5 of unknown length began, 1 ended"
    assert text_of(found, "ok", "ids") == "series 4: 1 to 2, none missing | series 5: 1 to 1, none missing"
    many = Bench().findings(*(Series(n) for n in range(1, 9)))
    assert text_of(many, "ok", "series").endswith("series 3 of unknown length, 5 more began, none ended")


def test_bad_messages_are_an_error_if_there_are_no_others() -> None:
    found = Bench().findings(SourceError("it is of htype 'dimage-1.0'"), SourceError("more of it"))
    assert text_of(found, "error", "frames").endswith(
        "2 messages over script (SIM:Image) cannot be used, the first because it is of htype 'dimage-1.0'"
    )
    assert "1 message over" in text_of(Bench().findings(frame(1), SourceError("bad")), "warning", "frames")


def test_detector_that_is_idle_is_listened_to_shortly() -> None:
    found = Bench(is_acquiring=False).findings()
    assert text_of(found, "ok", "frames").endswith("within 0.5 s, since the detector is idle")
    b = Bench(is_acquiring=False)
    assert b.listen(b.passes(15.0), frame(8), listen_s=20.0).n_frames == 1


def test_frames_that_are_counted_and_do_not_come_are_an_error() -> None:
    b = Bench()
    found = b.findings(b.counts(10))
    assert text_of(found, "error", "frames") == (
        "the detector has taken 10 frames, none came over script (SIM:Image): is the plugin behind SIM:Image enabled?"
    )


def test_detector_that_acquires_and_counts_nothing_may_wait_for_a_trigger() -> None:
    assert "does it wait for a trigger?" in text_of(Bench().findings(), "warning", "frames")


def test_long_exposures_are_waited_for() -> None:
    b = Bench()
    b.detector.exposure_s = 10.0
    assert b.listen(b.passes(25.0), b.counts(1), frame(1)).n_frames == 1


def test_frame_that_was_counted_last_may_be_on_its_way() -> None:
    b = Bench(is_acquiring=False)
    assert b.listen(b.counts(1), b.passes(1.0), b.passes(LATE_S / 4), frame(1)).n_frames == 1


def test_listening_ends_early_when_enough_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_arrivals, "ENOUGH_FRAMES", 3)
    b = Bench()
    arrivals = b.listen(*map(frame, range(20)))
    assert arrivals.n_settled == 3 and arrivals.listened_s < check_arrivals.LISTEN_S


def test_frames_that_had_waited_are_told_to_be_taken_from_others() -> None:
    found = Bench(is_acquiring=False).findings(frame(1), pulls=True)
    assert "had waited at the sender" in text_of(found, "warning", "frames")


def test_sender_that_has_gone_meanwhile_is_told() -> None:
    b = Bench()

    def leave() -> None:
        b.frames.is_connected = False

    assert text_of(b.findings(frame(1), leave), "error", "frames") == "no answer from SIM:Image (script) any more"


def test_sender_that_was_refused_is_the_reason_why_nothing_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedFrames, "problem", "3 connections ended before a greeting")
    assert [(each.level, each.text) for each in Bench().findings()] == [
        ("error", "3 connections ended before a greeting")
    ]


def test_last_frame_must_be_the_one_counted_last_unless_each_series_counts_anew(tmp_path: Path) -> None:
    detector = ScriptedDetector()
    detector.shown = 19
    assert list(check_newest(profile_for(tmp_path), 19, detector)) == []
    (finding,) = check_newest(profile_for(tmp_path), 7, detector)
    assert "SIM:Counter is 19, but the last frame that came has the id 7" in finding.text
    assert list(check_newest(with_frames(tmp_path, simplon="tcp://dcu:9999"), 7, detector)) == []


def with_frames(folder: Path, **frames: Any) -> Profile:
    document = profile_for(folder).model_dump()
    document["detector"] |= {"frames": frames, "frame_time": {}}
    return Profile.model_validate(document)


class StampedCounter(ScriptedDetector):
    def counter_with_stamp(self) -> tuple[int, int]:
        return self.counter(), STAMP_NS + 3600 * 10**9


@pytest.mark.parametrize(
    ("transport", "way_out"),
    [
        ("simplon", "set header_detail of the control unit to basic or all"),
        ("adzmq", "this version of ADZMQ sends none"),
        ("pva", "choose the other detector.frame_time.field"),
    ],
)
def test_frames_without_time_are_told_with_the_way_out_of_their_transport(
    tmp_path: Path, transport: str, way_out: str
) -> None:
    profile = with_frames(tmp_path, **{transport: "tcp://dcu:9999"})
    (finding,) = check_stamp(profile, frame(1, stamp_ns=NO_STAMP), StampedCounter())  # type: ignore[arg-type]
    assert finding.level == "error" and way_out in finding.text


def test_counter_tells_no_time_of_a_frame_whose_series_counts_anew(tmp_path: Path) -> None:
    counter: Any = StampedCounter()
    counter.shown = 1
    assert len(list(check_stamp(with_frames(tmp_path, pva="SIM:Image"), frame(1), counter))) == 1
    assert list(check_stamp(with_frames(tmp_path, stream2="tcp://dcu:31001"), frame(1), counter)) == []


@pytest.mark.parametrize(("late_s", "level"), [(0.02, "ok"), (60.0, "error")])
def test_arrival_tells_the_time_of_a_frame_whose_series_counts_anew(tmp_path: Path, late_s: float, level: str) -> None:
    profile = with_frames(tmp_path, stream2="tcp://dcu:31001")
    came_ns = STAMP_NS + round(late_s * 1e9)
    (finding,) = check_stamp(profile, frame(1), StampedCounter(), came_ns)  # type: ignore[arg-type]
    assert finding.level == level and "arrival" in finding.text


@pytest.mark.parametrize("transport", ["simplon", "stream2"])
def test_channel_by_attribute_is_an_error_where_there_are_none(tmp_path: Path, transport: str) -> None:
    profile = with_frames(tmp_path, **{transport: "tcp://dcu:9999"})
    for found in (check_attributes_of_series(profile), check_attributes(profile, {"real_time": 0.1}, STAMP_NS, {})):
        (finding,) = found
        assert (finding.level, finding.about) == ("error", "channel energy")
        assert "Pair by 'how: timestamp'" in finding.text
    assert list(check_attributes_of_series(with_frames(tmp_path, pva="SIM:Image"))) == []


def test_exposure_attribute_that_does_not_come_is_told(tmp_path: Path) -> None:
    profile = with_frames(tmp_path, pva="SIM:Image")
    detector = profile.detector.model_copy(update={"exposure_attribute": "AcqTime"})
    found = check_attributes(profile.model_copy(update={"detector": detector}), {"energy": 700.0}, STAMP_NS, {})
    assert [finding.about for finding in found if finding.level == "warning"] == ["detector.exposure_attribute"]


def test_messages_of_a_sender_are_seen_from_the_first_one_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_arrivals, "ENOUGH_FRAMES", 3)
    monkeypatch.setattr(check_arrivals, "SETTLED_S", 0.0)
    with sender(zmq.PUSH) as dcu:
        profile = with_frames(tmp_path, stream2=dcu.address)
        with closing(frame_transport(profile, all_attributes=True)) as transport:
            source = transport.source()
            source.listen()
            messages = [dectris.stream2_start(7), *(dectris.stream2_image(n, 7) for n in (0, 1, 3))]
            dcu.send(*(part for parts in messages for part in parts))
            found = list(arrival_findings(listen(source, None, HANG_S), source, pulls=True))
            source.close()
    assert text_of(found, "ok", "series") == "series 7 of 30 frames began, none ended"
    assert text_of(found, "warning", "ids").startswith("series 7: 1 to 4, 1 of them did not come")


def test_messages_of_another_dialect_are_named(tmp_path: Path) -> None:
    detector = ScriptedDetector()
    detector.exposure_s = HANG_S
    with sender(zmq.PUSH) as dcu, closing(frame_transport(with_frames(tmp_path, stream2=dcu.address))) as transport:
        source = transport.source()
        source.listen()
        dcu.send(*dectris.simplon_end())
        found = list(arrival_findings(listen(source, detector, 0.0), source, pulls=True))
        source.close()
    assert "which detector.frames.simplon reads" in text_of(found, "error", "frames")

"""The motor record with a clock of our own: what it posts, and with which stamp."""

from __future__ import annotations

from typing import Any

from iocsim.motors.axis import Axis
from iocsim.motors.motor_record import MotorRecord
from iocsim.motors.motor_values import Post

MS = 1_000_000
POLL_NS = 100 * MS


class Bench:
    """A motor of 20 um/s, polled every 100 ms."""

    def __init__(self) -> None:
        self.axis = Axis()
        self.record = MotorRecord(self.axis, "um", lambda true_ns: true_ns)
        self.now_ns = 0
        self.put("VELO", 20.0)
        self.put("ACCL", 0.1)

    def put(self, field: str, value: Any) -> list[Post]:
        self.now_ns += MS
        posts = self.record.put(field, value, self.now_ns)
        return posts + (self.record.acknowledge(self.now_ns) if self.record.has_command else [])

    def poll(self) -> list[Post]:
        self.now_ns += POLL_NS
        posts = self.record.report(self.axis.status_at(self.now_ns), self.now_ns)
        return posts + (self.record.acknowledge(self.now_ns) if self.record.has_command else [])

    def finish(self) -> list[Post]:
        """Poll until it is done."""
        posts: list[Post] = []
        while not self.record.is_done:
            posts += self.poll()
        return posts


def told(posts: list[Post], *fields: str) -> list[tuple[str, Any, int | None]]:
    return [(post.field, post.value, post.time_ns) for post in posts if post.field in fields]


def test_move_begins_with_the_stamp_of_the_last_one_and_before_it_with_none():
    bench = Bench()
    posts = bench.put("VAL", 1.0)
    assert told(posts, "DMOV", "MOVN") == [("DMOV", 0, None), ("MOVN", 1, bench.now_ns)]
    bench.finish()
    end_ns = bench.now_ns
    assert told(bench.put("VAL", 2.0), "DMOV") == [("DMOV", 0, end_ns)]


def test_move_shorter_than_a_poll_ends_with_one_stamp():
    bench = Bench()
    bench.put("VAL", 0.2)
    posts = bench.poll()
    assert next(post.field for post in posts) == "RBV" and [post.field for post in posts][-2:] == ["MOVN", "DMOV"]
    assert {post.time_ns for post in posts} == {bench.now_ns}
    assert bench.record.values["RBV"] == 0.2


def test_poll_that_finds_nothing_new_processes_nothing():
    bench = Bench()
    bench.put("VAL", 1.0)
    bench.finish()
    assert bench.poll() == []


def test_new_target_ahead_is_gone_to_after_the_old_one():
    bench = Bench()
    bench.put("VAL", 10.0)
    bench.poll()
    posts = bench.put("VAL", 20.0)
    assert [post.field for post in posts] == ["DIFF", "RDIF", "VAL", "DVAL", "RVAL"]
    posts = bench.finish()
    assert [value for _, value, _ in told(posts, "MOVN", "RCNT")] == [1, 0, 1, 0]
    assert 10.0 in [post.value for post in posts if post.field == "RBV"]
    assert bench.record.values["RBV"] == 20.0


def test_without_ntm_a_target_behind_waits_for_the_end():
    bench = Bench()
    bench.put("NTM", "NO")
    bench.put("VAL", 5.0)
    bench.poll()
    bench.put("VAL", -5.0)
    assert max(post.value for post in bench.finish() if post.field == "RBV") == 5.0
    assert bench.record.values["RBV"] == -5.0


def test_pause_in_mid_move_keeps_the_target_and_dmov():
    bench = Bench()
    bench.put("VAL", 10.0)
    bench.poll()
    bench.put("SPMG", "Pause")
    for _ in range(5):
        bench.poll()
    assert (bench.record.values["MOVN"], bench.record.values["DMOV"], bench.record.values["VAL"]) == (0, 0, 10.0)
    bench.put("SPMG", "Go")
    bench.finish()
    assert bench.record.values["RBV"] == 10.0


def test_homing_ends_at_the_zero_of_the_dial_with_the_target_there():
    bench = Bench()
    bench.put("VAL", 3.0)
    bench.finish()
    bench.put("HOMF", 1)
    bench.finish()
    values = bench.record.values
    assert (values["RBV"], values["VAL"], values["HOMF"], values["DMOV"]) == (0.0, 0.0, 0, 1)


def test_target_that_is_no_number_is_refused_as_one_beyond_the_limits():
    bench = Bench()
    for target in (float("nan"), float("inf")):
        bench.put("VAL", target)
        values = bench.record.values
        assert (values["LVIO"], values["VAL"], values["DMOV"], values["MOVN"]) == (1, 0.0, 1, 0)


def test_stop_slows_down_and_rests_on_a_step():
    bench = Bench()
    bench.put("VAL", 10.0)
    bench.poll()
    bench.poll()
    here = bench.axis.position_at(bench.now_ns)
    bench.put("STOP", 1)
    bench.finish()
    assert here < bench.record.values["RBV"] < 10.0
    assert bench.record.values["VAL"] == bench.record.values["RBV"]
    assert bench.axis.position_at(bench.now_ns) == bench.record.values["DRBV"]

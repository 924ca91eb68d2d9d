"""Posts of a motor record after each action of a client, in a form in which two records can be compared.

Absolute times, the number of polls on the way and where the axis was at each of them depend on the phase of the poller;
which field is posted with which value, in which order, in which processing and with an old or a new stamp do not.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

POST_ORDER = (
    "RBV",
    "RRBV",
    "DRBV",
    "DIFF",
    "MSTA",
    "VAL",
    "TDIR",
    "SPMG",
    "RCNT",
    "LVIO",
    "STOP",
    "VELO",
    "MOVN",
    "DMOV",
)
"""monitor() in motorRecord.cc posts what is new in this order, once a processing."""
POSITION = POST_ORDER[:3]
CLOCK_S = 2e-4
"""The recording gives stamps to 0.1 ms."""


@dataclass(frozen=True, slots=True)
class TracePost:
    """One monitor update; `stamp_s` None is an undefined time."""

    field: str
    value: float
    stamp_s: float | None


@dataclass
class Action:
    """A put of a client and what was posted until the next one."""

    field: str
    value: float
    put_s: float
    waits: bool
    """With a put-callback."""
    posts: list[TracePost] = dataclasses.field(default_factory=list)


def read_trace(path: Path) -> list[Action]:
    """The actions of a recorded trace."""
    actions: list[Action] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[1] == "#" and words[2] == "put":
            name, value = words[3].removeprefix("X."), float(words[4])
            actions.append(Action(name, value, float(words[0]), waits=words[-1] == "callback"))
        elif words[0] != "#" and words[1] != "#":
            stamp_s = None if words[3] == "-" else float(words[3])
            actions[-1].posts.append(TracePost(words[1].removeprefix("X."), float(words[2]), stamp_s))
    return actions


def told(actions: list[Action]) -> list[list[str]]:
    """The posts of each action, one line a processing of the record, without polls that tell the position only.

    Asserts what is true of every trace whatever the phase: posts of one processing carry one stamp; one of before the
    processing carries the last stamp (or that of a processing that posted nothing), none of after the put; DIFF is the
    way from the readback to the target.
    """
    lines: list[list[str]] = []
    last_stamp_s: float | None = None
    at, target = 0.0, 0.0
    for action in actions:
        lines.append([f"put {action.field} {action.value:g}"])
        if action.field == "VAL":
            target = action.value
        for posts in _processings(action.posts):
            stamp_s = posts[0].stamp_s
            assert all(post.stamp_s == stamp_s for post in posts if stamp_s is None or post.stamp_s is None), posts
            if stamp_s is None or stamp_s < action.put_s - CLOCK_S:
                assert (stamp_s is None) == (last_stamp_s is None), f"{posts}: the stamp before is {last_stamp_s}"
                assert stamp_s is None or last_stamp_s is None or stamp_s >= last_stamp_s - CLOCK_S, posts
                lines[-1].append("old stamp: " + " ".join(f"{post.field}={post.value:.6g}" for post in posts))
                continue
            assert all(abs((post.stamp_s or 0.0) - stamp_s) <= CLOCK_S for post in posts), posts
            last_stamp_s = stamp_s
            values = {post.field: post.value for post in posts}
            at = values.get("RBV", at)
            is_refused = values.get("LVIO") == 1
            target = target if is_refused else values.get("VAL", target)
            assert is_refused or "DIFF" not in values or abs(values["DIFF"] - (target - at)) < 1e-6, (posts, target, at)
            is_poll = "RBV" in values and values.keys() <= {*POSITION, "DIFF", "MSTA", "TDIR"}
            shown = {name: _shown(name, value, at, action) for name, value in values.items() if name not in POSITION}
            if is_poll:
                del shown["DIFF"]
                if not shown:
                    continue
            lines[-1].append(" ".join([f"{'polled' if is_poll else 'new stamp'}:", *shown.values()]))
    return lines


def _processings(posts: list[TracePost]) -> list[list[TracePost]]:
    """Runs of posts in the order of the record; a field of before that order begins the next processing."""
    runs: list[list[TracePost]] = []
    last = len(POST_ORDER)
    for post in posts:
        place = POST_ORDER.index(post.field)
        if place <= last:
            runs.append([])
        runs[-1].append(post)
        last = place
    return runs


def _shown(field: str, value: float, at: float, action: Action) -> str:
    """A value as text; of what depends on where the axis just was, what it has to do with that."""
    if field == "DIFF":
        return "DIFF=0" if abs(value) < 1e-9 else f"DIFF={'+' if value > 0 else '-'}"
    if field == "VAL" and action.field == "STOP":
        return "VAL=RBV" if value == at else f"VAL={value:g}"
    return f"{field}={value:.6g}"

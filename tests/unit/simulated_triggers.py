"""A simulated scan whose hardware captures the encoders at each trigger, and what can go wrong with it; by seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass
class Scan:
    """Truth: triggers in order, each of which may expose a frame, and be captured."""

    times_s: Floats
    """(n,) of triggers."""
    exposes: npt.NDArray[np.bool_]
    is_captured: npt.NDArray[np.bool_]
    stamps_s: Floats
    """(n,) by the clock of the frames."""
    arrives: npt.NDArray[np.bool_]
    is_spoilt: npt.NDArray[np.bool_]
    """(n,) something is wrong here: two faults in one place can look like less than one."""
    offset_s: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def looks_whole(self) -> bool:
        """True if both its ends are amiss, which in a scan at a constant rate looks as if nothing was."""
        ends = (self.exposes[0] and self.is_captured[0]), (self.exposes[-1] and self.is_captured[-1])
        return not any(ends)

    @property
    def n_exposed(self) -> int:
        return int(self.exposes.sum())

    @property
    def entry_times_s(self) -> Floats:
        return self.times_s[self.is_captured] + self.offset_s

    @property
    def ordinals(self) -> Ints:
        """Of the frames that arrive."""
        return (np.cumsum(self.exposes) - 1)[self.exposes & self.arrives]

    @property
    def arrived_stamps_s(self) -> Floats:
        return self.stamps_s[self.exposes & self.arrives]

    @property
    def true_entries(self) -> Ints:
        """(frames that arrive,) entry of each, -1 for none."""
        entries = np.where(self.is_captured, np.cumsum(self.is_captured) - 1, -1)
        return entries[self.exposes & self.arrives]


def triggers(random: np.random.Generator, kind: str, n: int) -> Floats:
    """Times of `n` triggers."""
    period_s = float(random.choice([0.002, 0.01, 0.1, 1.0]))
    steps = np.full(n, period_s)
    if kind == "lines":
        steps[:: max(2, n // 4)] *= random.uniform(2.0, 5.0)
    elif kind == "steps":
        steps *= random.uniform(1.0, 2.0, n)
    elif kind == "bursts":
        steps[::3] *= random.uniform(5.0, 9.0, len(steps[::3]))
    return np.cumsum(steps)


KINDS = ("uniform", "lines", "steps", "bursts")


def scan_of(seed: int, *, n_faults: int = 3, kinds: tuple[str, ...] = KINDS, n: int = 0) -> Scan:
    """A scan with up to so many faults. The clock of the frames steps or stands only where nothing else is wrong, since
    with a missed trigger besides it can look as if less had happened than has."""
    random = np.random.default_rng(seed)
    n = n or int(random.integers(4, 60))
    times_s = triggers(random, str(random.choice(kinds)), n)
    period_s = float(np.min(np.diff(times_s)))
    jitter_s = random.choice([0.0, 0.02, 0.08]) * min(period_s, 0.08)
    drift = random.uniform(-5e-5, 5e-5)
    stamps_s = times_s * (1 + drift) + random.uniform(-jitter_s, jitter_s, n) + random.uniform(0, 1000)
    scan = Scan(times_s, np.ones(n, bool), np.ones(n, bool), stamps_s, np.ones(n, bool), np.zeros(n, bool))
    scan.offset_s = random.uniform(-5, 5)
    n_faults = int(random.integers(0, n_faults + 1))
    for _ in range(n_faults):
        _spoil(scan, random, period_s, is_alone=n_faults == 1)
    return scan


def _spoil(scan: Scan, random: np.random.Generator, period_s: float, *, is_alone: bool) -> None:
    """Let one thing go wrong."""
    n = len(scan.times_s)
    at, k = int(random.integers(0, n)), int(random.choice([1, 1, 1, 2, 5]))
    is_near = np.zeros(n, bool)
    is_near[max(0, at - 1) : at + k + 1] = True
    if (is_near & scan.is_spoilt).any():
        return
    scan.is_spoilt |= is_near
    of_triggers, of_clock = ["missed", "missed", "not exposed", "glitch", "lost"], ["late stamp", "step", "stands"]
    fault = str(random.choice(of_triggers + of_clock if is_alone else [*of_triggers, "off stamp"]))
    scan.faults.append(f"{fault} {at}+{k}")
    if fault == "missed":
        scan.is_captured[at : at + k] = False
    elif fault == "not exposed":
        scan.exposes[at : at + k] = False
    elif fault == "lost":
        scan.arrives[at : at + k] = False
    elif fault == "off stamp":
        scan.stamps_s[at] += 0.8 * period_s
    elif fault == "late stamp":
        scan.stamps_s[at] += float(random.choice([0.5, 1.0, 2.0, 3.0])) * period_s
    elif fault == "step":
        scan.stamps_s[at:] += float(random.choice([-2.0, -1.0, 0.3, 1.0, 2.0, 5.0])) * period_s
    elif fault == "stands":
        scan.stamps_s[at : at + k] = scan.stamps_s[at]
    else:
        where_s = scan.times_s[at] + random.uniform(0.3, 0.5) * period_s
        more = {
            "is_spoilt": True,
            "times_s": where_s,
            "exposes": False,
            "is_captured": True,
            "stamps_s": 0.0,
            "arrives": False,
        }
        for name, value in more.items():
            setattr(scan, name, np.insert(getattr(scan, name), at + 1, value))
